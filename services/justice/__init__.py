"""Sở Tư pháp: the civil status register."""

from lienthong import Department

justice = Department("justice")
