"""Sở Y tế: health facilities and the births they notify."""

from lienthong import Department

health = Department("health")
