"""The faults that the checker can inject, by name."""

from collections.abc import Mapping
from typing import Final

from lienthong.chaos.fault import Fault
from lienthong.chaos.faults import brokers, clients, databases, disks, network

FAULTS: Final[Mapping[str, Fault]] = {
    fault.name: fault
    for fault in (
        *network.FAULTS,
        *brokers.FAULTS,
        *disks.FAULTS,
        *databases.FAULTS,
        *clients.FAULTS,
    )
}
