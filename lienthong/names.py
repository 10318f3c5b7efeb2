"""Names are functions, not tables: every name on the bus is computed here (all hops)."""

import hashlib
import re
from base64 import urlsafe_b64encode
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

NAMESPACE: Final = "vn.gov.hanoi"
"""Reverse domain of the city: the prefix of every CloudEvents type and source."""

REFUSAL: Final = "refusal"
"""What the gate's own notice is called in its type and schema; no contract describes it."""

SCHEMA_HEADER: Final = "__value_schema_id"
"""Where clients of a schema registry look for the schema of a record's value."""

DEPARTMENT: Final = re.compile(r"[a-z]+")
RESERVED: Final = frozenset({"admin", "none", "postgres", "public"})
"""Names that mean somebody else on a cluster or in a database: a department called so had their rights."""

EVENT: Final = re.compile(r"[a-z]+(?:-[a-z]+)*")
PURPOSE: Final = EVENT
CHANGES: Final = "change-applied"
"""The event by which the department that runs the bus tells what was changed on it."""
TOPIC: Final = re.compile(r"([a-z]+)\.([a-z]+(?:-[a-z]+)*)\.v([1-9][0-9]{0,3})")


class Topic(NamedTuple):
    """A topic's name, taken apart; it is the contract's id too."""

    department: str
    event: str
    major: int

    def __str__(self) -> str:
        return f"{self.department}.{self.event}.v{self.major}"

    @property
    def type(self) -> str:
        """The CloudEvents type, the same for every major: `vn.gov.hanoi.health.birth-notified`."""
        return event_type(self.department, self.event)


def find_topic(name: str) -> Topic | None:
    """Take a topic's name apart; None where it is not `<department>.<event>.v<major>`."""
    match = TOPIC.fullmatch(name)
    return Topic(match[1], match[2], int(match[3])) if match else None


def event_type(department: str, event: str) -> str:
    """Name the CloudEvents type of a department's event."""
    return f"{NAMESPACE}.{department}.{event}"


def source(department: str) -> str:
    """Name the CloudEvents source of a department: a URI reference, `/vn.gov.hanoi/health`."""
    return f"/{NAMESPACE}/{department}"


def schema_uri(department: str, event: str, version: str) -> str:
    """Name a schema version as `ce_dataschema` and the frozen schema's `$id` do."""
    return f"urn:{NAMESPACE}:{department}:{event}:{version}"


def find_schema_version(uri: str) -> tuple[str, str, str] | None:
    """Read department, event and version out of a `ce_dataschema`; None where it is not ours."""
    parts = uri.split(":")
    if len(parts) != 5 or parts[:2] != ["urn", NAMESPACE]:
        return None
    return parts[2], parts[3], parts[4]


def schema_guid(uri: str) -> UUID:
    """Compute the GUID of a schema version from its name: the same in every registry, for ever.

    Its sixteen bytes are letters, digits, - and _ (96 bits of a hash): a GUID travels in a header, and
    FastStream and the CloudEvents SDK read every header as UTF-8 text.
    """
    return UUID(bytes=urlsafe_b64encode(_digest(uri)[:12]))


def schema_id(uri: str) -> int:
    """Compute the number of a schema version, from 1 to 2³¹-1: clients of registries want a number."""
    return int.from_bytes(_digest(uri)[12:16]) % 0x7FFF_FFFF + 1


def _digest(uri: str) -> bytes:
    return hashlib.sha256(uri.encode()).digest()


@lru_cache(maxsize=4_096)
def schema_header(uri: str) -> tuple[str, bytes] | None:
    """Write the header in which clients of a schema registry find a value's schema; None for a refusal.

    A byte 1, then the GUID: Confluent's framing. A notice of refusal has a shape of the library's own,
    which is in no registry.
    """
    named = find_schema_version(uri)
    if named is None or named[1] == REFUSAL:
        return None
    return SCHEMA_HEADER, b"\x01" + schema_guid(uri).bytes


def subject(topic: str) -> str:
    """Name what a schema registry keeps a topic's versions under."""
    return f"{topic}-value"


def group(department: str, purpose: str) -> str:
    """Name the consumer group that serves one granted purpose."""
    return f"{department}.{purpose}"


def dead_letter_topic(group: str) -> str:
    """Name the topic where a consumer group sets aside what it cannot handle."""
    return f"{group}.dlt"


def refusals_topic(department: str) -> str:
    """Name the topic that tells what the gate refused, without a data value."""
    return f"{department}.refusals"


def class_name(event: str, major: int = 1) -> str:
    """Name the typed class of an event: `BirthNotified`, from the second major on `BirthNotifiedV2`."""
    words = "".join(word.capitalize() for word in re.split(r"[-_]", event))
    return words if major == 1 else f"{words}V{major}"
