"""The brokers of the embedded bus: their settings, their first formatting, their command (hop 4)."""

import base64
import os
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from lienthong.embedded.ports import HOST
from lienthong.embedded.secret import write_private
from lienthong.errors import BusNotUsable

ADMIN: Final = "admin"
CONTROLLER: Final = "controller"
SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"
PLAIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule"
DISALLOWED: Final = (
    "com.sun.security.auth.module.JndiLoginModule",
    "com.sun.security.auth.module.LdapLoginModule",
)

SETTINGS: Final = {
    "process.roles": "broker,controller",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "false",
    "super.users": f"User:{ADMIN};User:{CONTROLLER}",
    "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
    "inter.broker.listener.name": "CLIENTS",
    "controller.listener.names": "CONTROLLER",
    # By the second log in those whose password is being rotated.
    "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256",
    "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
    "sasl.mechanism.controller.protocol": "PLAIN",
    "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
    "connections.max.reauth.ms": "900000",
    # All clients of the embedded bus come from one address.
    "max.connections.per.ip": "2000",
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    # As measured (docs/decisions/0034): a leader that dies is replaced, one that pauses for 3 s stays.
    "broker.session.timeout.ms": "3500",
    "broker.heartbeat.interval.ms": "250",
    "controller.quorum.fetch.timeout.ms": "1500",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.election.backoff.max.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "group.coordinator.append.linger.ms": "1",
    "offsets.retention.minutes": "43200",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "message.max.bytes": "1048588",
    "log.message.timestamp.after.max.ms": "3600000",
    # Small machines: the cleaner alone would ask for 128 MB of heap.
    "log.cleaner.dedupe.buffer.size": "16777216",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
}

NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Node:
    """One process that is broker and controller."""

    number: int
    folder: Path
    port: int
    controller_port: int
    advertised_port: int = 0
    """Where clients and other brokers are told to connect, if not at `port`: something stands in between."""

    @property
    def name(self) -> str:
        return f"kafka-{self.number}"

    @property
    def known_port(self) -> int:
        """The port that clients know."""
        return self.advertised_port or self.port

    @property
    def settings(self) -> Path:
        return self.folder / "server.properties"

    @property
    def records(self) -> Path:
        """Where the broker keeps its records (what Kafka calls its log)."""
        return self.folder / "records"

    @property
    def log(self) -> Path:
        return self.folder / "logs" / "server.log"

    @property
    def output(self) -> Path:
        """What the broker says before its log is open."""
        return self.folder / "logs" / "start.log"

    @property
    def temporary(self) -> Path:
        """Where compression libraries unpack themselves: not in the machine's folder, a kill leaves them."""
        return self.folder / "temporary"

    @property
    def is_formatted(self) -> bool:
        return (self.records / "meta.properties").exists()


def new_cluster_id() -> str:
    """Make an id as Kafka does: 16 random bytes in 22 letters, none that looks like an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def write_settings(
    node: Node, nodes: Sequence[Node], admin: str, controller: str, settings: Mapping[str, str] = NONE
) -> None:
    """Write what a node reads at its start. The quorum is static, so that its ports may change."""
    copies = str(min(3, len(nodes)))
    in_sync = "2" if len(nodes) == 3 else "1"
    voters = ",".join(f"{other.number}@{HOST}:{other.controller_port}" for other in nodes)
    own = {
        "node.id": str(node.number),
        "controller.quorum.voters": voters,
        "listeners": f"CLIENTS://{HOST}:{node.port},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": f"CLIENTS://{HOST}:{node.known_port},CONTROLLER://{HOST}:{node.controller_port}",
        # Relative to the working folder: Kafka reads its files as Latin-1 and splits this at commas,
        # and a folder may well be called "Liên Thông".
        "log.dirs": node.records.name,
        "listener.name.clients.scram-sha-512.sasl.jaas.config": (
            f'{SCRAM} required username="{ADMIN}" password="{admin}";'
        ),
        "listener.name.clients.scram-sha-256.sasl.jaas.config": f"{SCRAM} required;",
        "listener.name.controller.plain.sasl.jaas.config": (
            f'{PLAIN} required username="{CONTROLLER}" password="{controller}" '
            f'user_{CONTROLLER}="{controller}";'
        ),
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
    }
    node.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    node.log.parent.mkdir(exist_ok=True)
    lines = [f"{name}={value}" for name, value in {**SETTINGS, **own, **settings}.items()]
    write_private(node.settings, "\n".join(lines) + "\n")
    write_private(node.folder / "log4j2.properties", _log_settings())


def _log_settings() -> str:
    """Write the broker's own log into the data folder, never more than 50 MB of it."""
    return """status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = logs/server.log
appender.file.filePattern = logs/server.log.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 4
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""


def java_command(java: Path, jars: Sequence[Path], options: Sequence[str], *arguments: str) -> list[str]:
    """Build a command that runs one of Kafka's own programs."""
    return [
        str(java),
        *options,
        "-Djava.awt.headless=true",
        # An open door of older versions stays shut (CVE-2025-27817, -27818).
        "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=",
        f"-Dorg.apache.kafka.disallowed.login.modules={','.join(DISALLOWED)}",
        "-cp",
        ":".join(str(jar) for jar in jars),
        *arguments,
    ]


def broker_command(node: Node, java: Path, jars: Sequence[Path]) -> list[str]:
    """Build the command of a node; KAFKA_JVM_PERFORMANCE_OPTS adds to it, as to Kafka's own scripts."""
    options = (
        "-Xms96m",
        "-Xmx448m",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "-XX:ErrorFile=logs/crash-%p.log",
        f"-Djava.io.tmpdir={node.temporary}",
        "-Dlog4j2.configurationFile=log4j2.properties",
        *shlex.split(os.environ.get("KAFKA_JVM_PERFORMANCE_OPTS", "")),
    )
    return java_command(java, jars, options, "kafka.Kafka", node.settings.name)


def clear_remains(node: Node) -> None:
    """After a kill: remove what the broker had unpacked for itself."""
    shutil.rmtree(node.temporary, ignore_errors=True)
    node.temporary.mkdir(mode=0o700)


def format_nodes(
    nodes: Sequence[Node], cluster_id: str, admin: str, java: Path, jars: Sequence[Path]
) -> None:
    """Give each new node its identity and the first user; nodes that have one are left as they are."""

    def format_one(node: Node) -> None:
        # From a private file: a command line can be read by every user of the machine.
        words = node.folder / "format.arguments"
        lines = ["format", "--cluster-id", cluster_id, "--config", node.settings.name, "--ignore-formatted"]
        write_private(
            words, "\n".join([*lines, "--add-scram", f"SCRAM-SHA-512=[name={ADMIN},password={admin}]"])
        )
        options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"]
        command = java_command(java, jars, options, "kafka.tools.StorageTool", f"@{words.name}")
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=node.folder)
        finally:
            words.unlink()
        if done.returncode != 0:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
            raise BusNotUsable(
                reason=f"{node.records} could not be formatted for Kafka: {last[0]}",
                remedy="Make sure that the disk has space and the folder can be written, then start again.",
            )

    new = [node for node in nodes if not node.is_formatted]
    with ThreadPoolExecutor(max(1, len(new))) as pool:
        list(pool.map(format_one, new))
