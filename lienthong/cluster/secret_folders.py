"""Make the secrets of a cluster in containers, and give each container a folder with its own and no other's.

Run by the service `secrets` of `docker-compose.yml` before all others:
`python -m lienthong.cluster.secret_folders FOLDER --broker kafka-1 … --database postgres --reader health …`.
Twice is the same as once; what was removed, or is near its end, is made anew.
"""

import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from lienthong.cluster.certificates import Authority, is_due, sign_server
from lienthong.cluster.connection import ADMIN
from lienthong.cluster.hand_out import PASSWORD
from lienthong.cluster.plan import ITERATIONS
from lienthong.embedded.kafka import CONTROLLER, PLAIN, SCRAM
from lienthong.embedded.secret import load_or_generate, write_private
from lienthong.errors import LienThongError
from lienthong.login import MECHANISM

AUTHORITY: Final = "authority"
"""The folder of the originals: no container but the one that makes them may see it."""

APPLY: Final = "apply"
"""The folder of whoever runs `lienthong apply`: the super users' passwords."""

AUTHORITY_CERTIFICATE: Final = "ca.pem"
LOCAL: Final = "localhost"
"""A broker's second name: clients on the machine that runs the containers reach it so."""


@dataclass(slots=True)
class SecretFolders:
    """The folders below one, each of them mounted into one container."""

    folder: Path
    now: datetime
    made: list[str] = field(default_factory=list)
    """What this run wrote."""

    authority: Authority = field(init=False)

    def __post_init__(self) -> None:
        file = self.folder / AUTHORITY / "authority.pem"
        if not file.exists():
            self._write(file, Authority.new(self.now).pem(), os.geteuid())
        self.authority = Authority.load(file.read_text(encoding="utf-8"))

    def fill_broker(self, name: str, owner: int) -> None:
        """Give a broker its certificate, its logins, and the first user for a disk that is new."""
        admin, controller = self._password("kafka-admin"), self._password("kafka-controller")
        self._own(name, owner)
        key, certificate = self._certificate(self.folder / name / "server.pem", [name, LOCAL])
        self._write(self.folder / name / "server.pem", key + certificate, owner)
        self._write(self.folder / name / "server.properties", "\n".join(_logins(admin, controller)), owner)
        first = f"--add-scram\n{MECHANISM}=[name={ADMIN},iterations={ITERATIONS},password={admin}]\n"
        self._write(self.folder / name / "format.arguments", first, owner)

    def fill_database(self, name: str, owner: int) -> None:
        """Give the database its certificate and its super user's password."""
        self._own(name, owner)
        # In one file first: a key and a certificate of different runs would not fit.
        key, certificate = self._certificate(self.folder / name / "server.pem", [name])
        self._write(self.folder / name / "server.pem", key + certificate, owner)
        self._write(self.folder / name / "server.key", key, owner)
        self._write(self.folder / name / "server.crt", certificate, owner)
        self._write(self.folder / name / PASSWORD, self._password("postgres"), owner)

    def fill_reader(self, name: str, owner: int) -> None:
        """Give a department what it needs to know the servers; its password comes from `lienthong apply`."""
        self._own(name, owner)
        if name == APPLY:
            for secret in ("kafka-admin", "postgres"):
                self._write(self.folder / name / f"{secret}.password", self._password(secret), owner)

    def _own(self, name: str, owner: int) -> None:
        """Close a folder to all but the user of its container, and put the authority's certificate in it."""
        place = self.folder / name
        place.mkdir(mode=0o700, exist_ok=True)
        if stat.S_IMODE(place.stat().st_mode) != 0o700:
            place.chmod(0o700)
        if place.stat().st_uid != owner:
            os.chown(place, owner, owner)
        self._write(place / AUTHORITY_CERTIFICATE, self.authority.certificate_pem(), owner)

    def _password(self, name: str) -> str:
        return load_or_generate(self.folder / AUTHORITY / f"{name}.password")

    def _certificate(self, file: Path, names: list[str]) -> tuple[str, str]:
        """Give the key and the certificate that a file holds, or new ones where they are due."""
        held = file.read_text(encoding="utf-8") if file.exists() else ""
        if not is_due(held, self.authority, names, self.now):
            key, mark, certificate = held.partition("-----BEGIN CERTIFICATE-----")
            return key, mark + certificate
        return sign_server(self.authority, names, self.now)

    def _write(self, file: Path, text: str, owner: int) -> None:
        """Write a file that differs, for its owner's eyes only."""
        file.parent.mkdir(mode=0o700, exist_ok=True)
        if file.exists() and file.read_text(encoding="utf-8") == text and file.stat().st_uid == owner:
            return
        write_private(file, text, owner)
        self.made.append(str(file.relative_to(self.folder)))


def _logins(admin: str, controller: str) -> Iterator[str]:
    """Write the lines of a broker's settings that hold secrets: all others stand in docker-compose.yml."""
    yield "# Written by lienthong.cluster.secret_folders."
    login = f'{SCRAM} required username="{ADMIN}" password="{admin}";'
    yield f"listener.name.clients.scram-sha-512.sasl.jaas.config={login}"
    yield f"listener.name.host.scram-sha-512.sasl.jaas.config={SCRAM} required;"
    # By the second mechanism log in those whose password is being rotated.
    for listener in ("clients", "host"):
        yield f"listener.name.{listener}.scram-sha-256.sasl.jaas.config={SCRAM} required;"
    login = (
        f'{PLAIN} required username="{CONTROLLER}" password="{controller}" user_{CONTROLLER}="{controller}";'
    )
    yield f"listener.name.controller.plain.sasl.jaas.config={login}"
    yield ""


def fill(
    folder: Annotated[Path, typer.Argument(help="Holds a folder for each container.")],
    broker: Annotated[list[str], typer.Option(help="A broker: folder and host name.")],
    database: Annotated[str, typer.Option(help="The database: folder and host name.")],
    reader: Annotated[list[str], typer.Option(help="A department, or apply.")],
    broker_user: Annotated[int, typer.Option(help="User number of the brokers' containers.")],
    database_user: Annotated[int, typer.Option(help="User number of the database's container.")],
    reader_user: Annotated[int, typer.Option(help="User number of the other containers.")],
) -> None:
    """Make secrets and certificates, or renew what is due, and give each container its own."""
    folders = SecretFolders(folder, datetime.now(UTC))
    for name in broker:
        folders.fill_broker(name, broker_user)
    folders.fill_database(database, database_user)
    for name in reader:
        folders.fill_reader(name, reader_user)
    typer.echo(f"Written: {', '.join(folders.made)}." if folders.made else "Nothing to do.")


if __name__ == "__main__":
    try:
        typer.run(fill)
    except LienThongError as error:
        sys.exit(str(error))
