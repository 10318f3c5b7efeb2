"""How to reach a cluster as somebody, in the words of every client that may want to."""

import shlex
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from lienthong import names
from lienthong.errors import BusNotUsable
from lienthong.login import mechanism_of
from lienthong.settings import embedded_environment, load_bus

ADMIN: Final = "admin"
"""The embedded bus's super user; departments may not be called so."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Brokers, and who connects to them."""

    bootstrap_servers: str
    username: str
    password: str = field(repr=False)
    security_protocol: Literal["SASL_PLAINTEXT", "SASL_SSL"] = "SASL_PLAINTEXT"
    ca_file: Path | None = None
    mechanism: str = "SCRAM-SHA-512"

    def for_kafka_python(self) -> dict[str, Any]:
        """Give the keyword arguments of kafka-python's clients."""
        return {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
            "ssl_cafile": str(self.ca_file) if self.ca_file else None,
        }

    def for_aiokafka(self) -> dict[str, Any]:
        """Give the keyword arguments of aiokafka's clients."""
        encrypted = self.security_protocol == "SASL_SSL"
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
            "ssl_context": ssl.create_default_context(cafile=self.ca_file) if encrypted else None,
        }

    def for_confluent(self) -> dict[str, Any]:
        """Give the properties of librdkafka (confluent-kafka, kcat and many others)."""
        properties = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.mechanism,
            "sasl.username": self.username,
            "sasl.password": self.password,
        }
        return properties | ({"ssl.ca.location": str(self.ca_file)} if self.ca_file else {})

    def kcat_line(self, topic: str) -> str:
        """Write the kcat command that reads a topic from its beginning to its end."""
        properties = self.for_confluent()
        words = ["kcat", "-b", properties.pop("bootstrap.servers")]
        for name, value in properties.items():
            words += ["-X", f"{name}={value}"]
        return shlex.join([*words, "-C", "-t", topic, "-o", "beginning", "-e"])

    def java_properties(self) -> str:
        """Write the properties file that Kafka's own tools and Java clients take."""
        login = "org.apache.kafka.common.security.scram.ScramLoginModule"
        user, password = (
            part.replace("\\", "\\\\").replace('"', '\\"') for part in (self.username, self.password)
        )
        lines = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.mechanism,
            "sasl.jaas.config": f'{login} required username="{user}" password="{password}";',
            # A group outside the department's prefix, such as a tool would make up, is refused.
            "group.id": names.group(self.username, "console"),
        }
        if self.ca_file:
            lines |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(self.ca_file)}
        # In a properties file a backslash escapes, so each is doubled once more.
        return "".join(f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in lines.items())


def admin_connection(data: Path) -> Connection:
    """Give the embedded bus's super user.

    Raises:
        BusNotUsable: no bus runs on this folder, or its secret cannot be read.
    """
    bus = load_bus(data)
    return Connection(bus["bootstrap_servers"], ADMIN, read_secret(data / "secrets" / "kafka-admin.password"))


def department_connection(data: Path, department: str) -> Connection:
    """Give a department's own connection to the embedded bus.

    Raises:
        BusNotUsable: no bus runs on this folder, or it has no credentials for the department yet.
    """
    found = embedded_environment(data, department)
    secret = read_secret(Path(found["LIENTHONG_PASSWORD_FILE"]))
    servers, username = found["LIENTHONG_BOOTSTRAP_SERVERS"], found["LIENTHONG_USERNAME"]
    return Connection(servers, username, secret, mechanism=mechanism_of(secret))


def held_departments(data: Path) -> list[str]:
    """List the departments whose password this folder holds; the bus's own secrets are not among them."""
    names_held = (file.name.removesuffix(".password") for file in (data / "secrets").glob("*.password"))
    return sorted(
        name for name in names_held if names.DEPARTMENT.fullmatch(name) and name not in names.RESERVED
    )


def read_secret(path: Path) -> str:
    """Read one secret; the error names the file, never what is in it."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BusNotUsable(
            reason=f"The secret in {path} cannot be read: {error.strerror}.",
            remedy="Run this as the user that started the bus, with the same --data.",
        ) from None
    if not secret:
        raise BusNotUsable(
            reason=f"The secret in {path} is empty.",
            remedy="Remove the file and run `lienthong apply`, which makes a new one.",
        )
    return secret
