"""How a department logs in: by its password, or while that is rotated by one that stands in (hops 4 to 6).

A server keeps one password of a user. So that the old and the new are both valid while services go over,
a second login stands in: on Kafka the other SCRAM mechanism of the same user, on PostgreSQL a role that acts
as the department's own. Which of the two a password belongs to is said by the password itself, so that a
service that reads one file, at any moment, knows all it needs.
"""

from typing import Any, Final, Literal

Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256"]

MECHANISM: Final[Mechanism] = "SCRAM-SHA-512"
STAND_IN_MECHANISM: Final[Mechanism] = "SCRAM-SHA-256"

STAND_IN: Final = "next."
"""How a password begins that stands in; no generated one has a full stop in it."""

STAND_IN_ROLE: Final = "-next"
"""How the PostgreSQL role ends that stands in; no department's name has a hyphen in it."""


def is_stand_in(password: str) -> bool:
    """Tell whether a password stands in while the department's own is rotated."""
    return password.startswith(STAND_IN)


def mechanism_of(password: str) -> Mechanism:
    """Name the SCRAM mechanism by which Kafka knows a password."""
    return STAND_IN_MECHANISM if is_stand_in(password) else MECHANISM


def role_of(name: str, password: str) -> str:
    """Name the PostgreSQL role a password belongs to; `name` is the department's, or its stand-in's."""
    own = name.removesuffix(STAND_IN_ROLE)
    return f"{own}{STAND_IN_ROLE}" if is_stand_in(password) else own


def renew(client: Any, password: str) -> bool:
    """Let an aiokafka client that is connected log in with this password from its next connection on.

    A client lives as long as its service, and opens connections all the time: to a new leader, and whenever
    the broker asks for a login again (`connections.max.reauth.ms`).

    Returns:
        Whether it was another one before.
    """
    # aiokafka takes a password once and for all; a new client would cost each group a rebalance.
    if client._sasl_plain_password == password:  # noqa: SLF001
        return False
    client._sasl_mechanism = mechanism_of(password)  # noqa: SLF001
    client._sasl_plain_password = password  # noqa: SLF001
    return True
