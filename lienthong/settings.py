"""Everything a process can be told from outside, in one class; `docs/operate/settings.md` is made from it."""

import os
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import quote, unquote, urlsplit

import orjson
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lienthong.errors import BusNotUsable, SettingsNotUsable
from lienthong.login import role_of

PREFIX: Final = "LIENTHONG_"
OUTSIDE: Final = frozenset({"LIENTHONG_ROOT", "LIENTHONG_DATA", "LIENTHONG_SPOOL"})
"""Where things lie on this machine: read before any settings are."""


class Settings(BaseSettings):
    """One service's settings. Identity and secrets have no default."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    bootstrap_servers: Annotated[
        str, Field(description="Kafka brokers to start from, host:port, comma between.")
    ]
    username: Annotated[str, Field(description="The department's SCRAM user: its name.")]
    password: Annotated[SecretStr | None, Field(description="Its password; better a file.")] = None
    password_file: Annotated[Path | None, Field(description="File that holds the password.")] = None
    security_protocol: Annotated[
        Literal["SASL_SSL", "SASL_PLAINTEXT"],
        Field(description="SASL_PLAINTEXT is accepted for loopback brokers only."),
    ] = "SASL_SSL"
    ca_file: Annotated[Path | None, Field(description="Certificate authority of the brokers, PEM.")] = None
    database_url: Annotated[
        SecretStr, Field(description="postgresql://user@host:port/database of the department.")
    ]
    database_password_file: Annotated[
        Path | None, Field(description="File that holds the database password, where the URL has none.")
    ] = None
    database_connections: Annotated[int, Field(ge=2, le=100, description="Greatest size of the pool.")] = 8
    instance: Annotated[
        str, Field(description="Name of this process among its equals, for logs and client.id.")
    ] = f"{socket.gethostname()}-{os.getpid()}"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least level logged.")
    ] = "info"
    batch_records: Annotated[
        int, Field(ge=1, le=5_000, description="Records handled in one transaction.")
    ] = 200
    parked_records: Annotated[
        int,
        Field(
            ge=1, le=100_000, description="Records waiting behind a retry before their partition waits too."
        ),
    ] = 1_000
    attempts: Annotated[
        int, Field(ge=1, le=100, description="Tries of a retriable failure before it is set aside.")
    ] = 12
    give_up_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=31_536_000,
            description="A retriable failure so long after its first try is set aside; 0: only tries count.",
        ),
    ] = 0.0
    set_aside_most: Annotated[
        int,
        Field(
            ge=0,
            le=10_000,
            description="A reader that set so many of its last records aside stops; 0: never.",
        ),
    ] = 40
    set_aside_window: Annotated[
        int, Field(ge=1, le=10_000, description="How many of its last records are looked at for that.")
    ] = 100
    held_bytes: Annotated[
        int,
        Field(
            ge=1_048_576,
            le=1_073_741_824,
            description="Memory for the records a reader holds; as much again is fetched ahead.",
        ),
    ] = 16_777_216
    silent_seconds: Annotated[
        float,
        Field(gt=0, le=3_600, description="A reader that hears nothing for so long asks what it misses."),
    ] = 60.0
    back_off_seconds: Annotated[
        float, Field(gt=0, le=600, description="Wait before the second try; then doubled.")
    ] = 0.2
    back_off_most_seconds: Annotated[
        float, Field(gt=0, le=3_600, description="Longest wait between tries.")
    ] = 30.0
    handler_seconds: Annotated[
        float, Field(gt=0, le=3_600, description="A handler that takes longer is stopped.")
    ] = 30.0
    relay_records: Annotated[int, Field(ge=1, le=10_000, description="Outbox rows sent in one go.")] = 1_000
    idle_seconds: Annotated[
        float, Field(gt=0, le=60, description="Wait between looks at an empty outbox or intake.")
    ] = 0.1
    stuck_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=3_600,
            description="Outbox rows that no transaction's end sets free for so long are told.",
        ),
    ] = 30.0
    delivery_seconds: Annotated[
        float,
        Field(gt=0, le=3_600, description="No acknowledgement for so long: the outcome is unknown, kept."),
    ] = 30.0
    session_seconds: Annotated[
        float, Field(ge=6, le=300, description="A reader silent for so long loses its partitions.")
    ] = 15.0
    spool_bytes: Annotated[
        int,
        Field(
            ge=65_536,
            le=1_099_511_627_776,
            description="Facts that wait in a publisher's spool; beyond that new ones get SpoolFull.",
        ),
    ] = 268_435_456
    stop_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=60,
            description="Time to drain when told to stop; the rest is done after the next start.",
        ),
    ] = 8.0

    @model_validator(mode="after")
    def _hold_together(self) -> Self:
        if self.password is None and self.password_file is None:
            raise ValueError("set LIENTHONG_PASSWORD_FILE (or LIENTHONG_PASSWORD)")
        if self.security_protocol == "SASL_PLAINTEXT" and (far := far_servers(self.bootstrap_servers)):
            raise ValueError(f"SASL_PLAINTEXT to {', '.join(far)} would send data in the clear: use SASL_SSL")
        if self.set_aside_most > self.set_aside_window:
            raise ValueError(
                "LIENTHONG_SET_ASIDE_MOST is more than LIENTHONG_SET_ASIDE_WINDOW: it never comes"
            )
        return self

    def read_password(self) -> str:
        """Give the Kafka password, from its file or the environment."""
        if self.password_file is not None:
            return _read_secret(self.password_file)
        assert self.password is not None
        return self.password.get_secret_value()

    def read_database_url(self) -> str:
        """Give the database URL with its password in it, and the role that this password belongs to."""
        url = self.database_url.get_secret_value()
        if not url:
            raise SettingsNotUsable(
                reason=f"{self.username} publishes through a spool, without a database.",
                remedy="Set LIENTHONG_DATABASE_URL for a service.",
            )
        if self.database_password_file is None:
            return url
        parts = urlsplit(url)
        secret = _read_secret(self.database_password_file)
        user = quote(role_of(unquote(parts.username or self.username), secret))
        where = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{user}:{quote(secret, safe='')}@{where}").geturl()


def far_servers(bootstrap_servers: str) -> list[str]:
    """List the brokers that are not on this machine: to them nothing goes in the clear."""
    return [server for server in bootstrap_servers.split(",") if not _is_loopback(server)]


def _is_loopback(server: str) -> bool:
    try:
        host = urlsplit(f"//{server.strip()}").hostname
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False  # another name: only a resolver knows whose


def _read_secret(path: Path) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip()
        why = "" if secret else "it is empty"
    except OSError as error:
        secret, why = "", str(error.strerror)
    except UnicodeDecodeError:
        secret, why = "", "it is not UTF-8 text"
    if why:
        raise SettingsNotUsable(
            reason=f"The secret in {path} cannot be read ({why}).",
            remedy="Let `lienthong apply` write it, or run as the user that owns it.",
        )
    return secret


def load_settings(department: str, **given: Any) -> Settings:
    """Read the environment; where it names no broker, use the embedded bus of this folder.

    Raises:
        SettingsNotUsable: a setting is missing, out of bounds or misspelt.
    """
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | OUTSIDE
    # pydantic-settings takes either case, and would not say a word about a name it does not know.
    unknown = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsNotUsable(
            reason=f"No such setting: {', '.join(unknown)}.",
            remedy="Correct the spelling; docs/operate/settings.md lists them all.",
        )
    if f"{PREFIX}BOOTSTRAP_SERVERS" not in os.environ and "bootstrap_servers" not in given:
        found = embedded_environment(find_data(), department)
        environment = {name.removeprefix(PREFIX).lower(): value for name, value in found.items()}
        given = {k: v for k, v in environment.items() if f"{PREFIX}{k.upper()}" not in os.environ} | given
    try:
        settings = Settings(**given)
    except ValidationError as error:
        reasons = [
            f"{PREFIX}{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" if e["loc"] else e["msg"]
            for e in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsNotUsable(
            reason=f"The settings of {department} are not usable: {'; '.join(reasons)}.",
            remedy=f"`lienthong env {department}` prints a usable set.",
        ) from None
    if settings.username != department:
        raise SettingsNotUsable(
            reason=f"This is the service of {department}, but LIENTHONG_USERNAME says {settings.username}.",
            remedy="Each department runs with its own credentials.",
        )
    if settings.ca_file is not None and not settings.ca_file.is_file():
        raise SettingsNotUsable(
            reason=f"LIENTHONG_CA_FILE is {settings.ca_file}, where no file is.",
            remedy="Name the PEM file of the authority that signed the brokers' certificates.",
        )
    return settings


def load_limits(department: str) -> Settings:
    """Read the environment for a publisher that may not know a bus yet: its limits and waits.

    Raises:
        SettingsNotUsable: a setting is out of bounds or misspelt.
    """
    nowhere = {"bootstrap_servers": "localhost", "username": department, "password": "", "database_url": ""}
    return load_settings(department, **nowhere)


def find_spool(department: str, data: Path | None = None) -> Path:
    """Find the file of a department's spool: in LIENTHONG_SPOOL, or in `spool` of the data folder."""
    told = os.environ.get("LIENTHONG_SPOOL")
    folder = Path(told) if told else find_data(data) / "spool"
    return folder / f"{department}.spool"


def find_root(start: Path | None = None) -> Path:
    """Find the folder that holds `contracts/`: LIENTHONG_ROOT, or this folder or one above it."""
    if told := os.environ.get("LIENTHONG_ROOT"):
        root = Path(told)
        if not (root / "contracts").is_dir():
            raise SettingsNotUsable(
                reason=f"LIENTHONG_ROOT is {root}, which holds no contracts folder.",
                remedy="Point it at the folder that holds contracts/ and schemas/.",
            )
        return root
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "contracts").is_dir():
            return folder
    raise SettingsNotUsable(
        reason=f"Neither {here} nor a folder above it holds contracts/.",
        remedy="Go to the project's folder, or set LIENTHONG_ROOT.",
    )


def find_data(told: Path | None = None) -> Path:
    """Find the data folder: what was told, LIENTHONG_DATA, or `.lienthong` in the root."""
    if told is not None:
        return told
    if set_ := os.environ.get("LIENTHONG_DATA"):
        return Path(set_)
    return find_root() / ".lienthong"


def load_bus(data: Path) -> dict[str, Any]:
    """Read the description of the embedded bus that runs on a data folder.

    Raises:
        BusNotUsable: there is none.
    """
    try:
        found: dict[str, Any] = orjson.loads((data / "bus.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        raise BusNotUsable(
            reason=f"No bus runs on {data}.",
            remedy="Start one with `lienthong up`, or set LIENTHONG_BOOTSTRAP_SERVERS for another.",
        ) from None
    return found


def embedded_environment(data: Path, department: str) -> dict[str, str]:
    """Compute the LIENTHONG_ variables with which a department reaches the embedded bus."""
    bus = load_bus(data)
    secret = data.resolve() / "secrets" / f"{department}.password"
    if not secret.exists():
        raise BusNotUsable(
            reason=f"The bus on {data} has no credentials for {department}.",
            remedy="Bring it to the contracts with `lienthong apply`.",
        )
    postgres = bus["postgres"]
    role = role_of(department, _read_secret(secret))
    return {
        "LIENTHONG_BOOTSTRAP_SERVERS": bus["bootstrap_servers"],
        "LIENTHONG_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "LIENTHONG_USERNAME": department,
        "LIENTHONG_PASSWORD_FILE": str(secret),
        "LIENTHONG_DATABASE_URL": f"postgresql://{role}@{postgres['host']}:{postgres['port']}/{department}",
        "LIENTHONG_DATABASE_PASSWORD_FILE": str(secret),
    }
