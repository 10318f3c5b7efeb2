"""A connection that has just broken is told as aiokafka expects it, on uvloop too (hops 4, 5).

Who writes to one gets an OSError from asyncio's own loop, and a RuntimeError from uvloop's. aiokafka knows
only the first: the other ends the task that asks about the cluster, unheard, and whoever waits for its answer
waits for ever.
"""

from typing import Any

from aiokafka import conn
from aiokafka.errors import KafkaConnectionError


class _Connection(conn.AIOKafkaConnection):  # type: ignore[misc]
    def send(self, *told: Any, **how: Any) -> Any:
        try:
            return super().send(*told, **how)
        except RuntimeError as error:
            raise self._broken(error) from error

    def _send_sasl_token(self, *told: Any, **how: Any) -> Any:
        try:
            return super()._send_sasl_token(*told, **how)
        except RuntimeError as error:
            raise self._broken(error) from error

    def _broken(self, error: RuntimeError) -> KafkaConnectionError:
        self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
        return KafkaConnectionError(f"Connection at {self._host}:{self._port} broken: {error}")


def tell_broken_connections() -> None:
    """Have every connection that aiokafka makes from now on tell so when it is broken."""
    conn.AIOKafkaConnection = _Connection
