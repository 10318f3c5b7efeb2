"""Trung tâm Phục vụ hành chính công: the counters of the 126 wards and communes."""

from lienthong import Department

onestop = Department("onestop")
