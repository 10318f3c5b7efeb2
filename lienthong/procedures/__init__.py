"""Procedures, as the contracts describe them and the bus tells them."""

from lienthong.procedures.procedure import Fact, Procedure, Reader, derive

__all__ = ["Fact", "Procedure", "Reader", "derive"]
