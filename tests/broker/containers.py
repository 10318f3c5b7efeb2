"""A broker of docker-compose.yml without an engine: its settings, script and secrets on the embedded jars.

What the image `apache/kafka` does between the start script and Kafka is done by the image's own program,
`kafka.docker.KafkaDockerWrapper`, which is in the jars.
"""

import os
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lienthong.cluster.secret_folders import SecretFolders
from lienthong.embedded.bus import find_java
from lienthong.embedded.jars import fetch_jars

ROOT = Path(__file__).parents[2]
NAME = "kafka-1"

STORAGE = """#!/usr/bin/env bash
exec {java} -XX:TieredStopAtLevel=1 -Xmx128m $KAFKA_LOG4J_OPTS -cp {jars} kafka.tools.StorageTool "$@"
"""

RUN = """#!/usr/bin/env bash
set -eu
said=$({java} -XX:TieredStopAtLevel=1 -Xmx128m -cp {jars} kafka.docker.KafkaDockerWrapper setup \\
    --default-configs-dir {image} --mounted-configs-dir {mounted} --final-configs-dir {final} 2>&1) ||
    grep -qi "already formatted" <<< "$said" || {{ echo "$said"; exit 1; }}
exec {java} $KAFKA_HEAP_OPTS $KAFKA_GC_LOG_OPTS $KAFKA_LOG4J_OPTS $KAFKA_OPTS -cp {jars} \\
    kafka.Kafka {final}/server.properties
"""


def load_compose() -> dict[str, Any]:
    """Read docker-compose.yml, its anchors and merges resolved."""
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "docker-compose.yml")
    return found


@dataclass(frozen=True)
class Broker:
    """One that runs, reached over TLS as `localhost`."""

    folder: Path
    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def server(self) -> str:
        return f"localhost:{self.port}"

    @property
    def authority(self) -> Path:
        return self.folder / "secrets" / NAME / "ca.pem"

    @property
    def admin_password(self) -> str:
        return (self.folder / "secrets/authority/kafka-admin.password").read_text()

    @property
    def settings(self) -> str:
        """What the image's own program made of the environment and the secrets."""
        return (self.folder / "opt/config/server.properties").read_text()

    @property
    def log(self) -> str:
        return (self.folder / "said.txt").read_text()


@contextmanager
def running_broker(folder: Path) -> Iterator[Broker]:
    """Run the first broker alone: other addresses, one copy of everything, all else as the file says."""
    secrets = folder / "secrets"
    secrets.mkdir()
    SecretFolders(secrets, datetime.now(UTC)).fill_broker(NAME, os.geteuid())
    ports = dict(zip(("9092", "9093", "19092"), _free_ports(3), strict=True))
    moved = _moving(folder, ports)
    service = load_compose()["services"][NAME]
    environment = {name: moved(value) for name, value in service["environment"].items()} | {
        "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@localhost:{ports['9093']}"
    }
    for name in environment:
        if name.endswith(("REPLICATION_FACTOR", "MIN_ISR", "MIN_INSYNC_REPLICAS")):
            environment[name] = "1"
    _write_image(folder)
    script = folder / "kafka-start.sh"
    script.write_text(moved((ROOT / "deploy/kafka-start.sh").read_text()))
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            ["bash", str(script)],
            env={"PATH": os.environ["PATH"], **environment},
            cwd=folder,
            stdout=said,
            stderr=said,
        )
    try:
        yield Broker(folder, int(ports["19092"]), environment, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()


def _moving(folder: Path, ports: dict[str, str]) -> Callable[[str], str]:
    """Give the way from what a container sees to what is here."""
    places = {
        "/opt/kafka": folder / "opt",
        "/etc/kafka/secrets": folder / "secrets" / NAME,
        "/etc/kafka/docker": folder / "image",
        "/mnt/shared/config": folder / "secrets" / NAME,
        "/var/lib/kafka/data": folder / "records",
        "/deploy/": f"{ROOT}/deploy/",
        "0.0.0.0": "127.0.0.1",
        f"{NAME}:": "localhost:",
        **{f":{inside}": f":{here}" for inside, here in ports.items()},
    }

    def move(text: str) -> str:
        for inside, here in places.items():
            text = text.replace(inside, str(here))
        return text

    return move


def _write_image(folder: Path) -> None:
    """Put programs where the image has its own."""
    words = {
        "java": shlex.quote(str(find_java())),
        "jars": shlex.quote(":".join(map(str, fetch_jars()))),
        "image": shlex.quote(str(folder / "image")),
        "mounted": shlex.quote(str(folder / "secrets" / NAME)),
        "final": shlex.quote(str(folder / "opt/config")),
    }
    (folder / "opt/config").mkdir(parents=True)
    for place, text in (("opt/bin/kafka-storage.sh", STORAGE), ("image/run", RUN)):
        file = folder / place
        file.parent.mkdir()
        file.write_text(text.format(**words))
        file.chmod(0o700)


def _free_ports(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(found.getsockname()[1]) for found in sockets]
    for found in sockets:
        found.close()
    return ports
