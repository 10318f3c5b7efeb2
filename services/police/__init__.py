"""Công an Thành phố: personal numbers and residence."""

from lienthong import Department

police = Department("police")
