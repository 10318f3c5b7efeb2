"""The embedded bus: the real Apache Kafka and PostgreSQL as child processes (beneath every hop).

`Bus` starts and stops them from code; `find_bus` tells where a running one listens.
"""

from lienthong.embedded.bus import Bus
from lienthong.embedded.folder import find_bus

__all__ = ["Bus", "find_bus"]
