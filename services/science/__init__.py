"""Sở Khoa học và Công nghệ: the city's reference data."""

from lienthong import Department

science = Department("science")
