"""Bảo hiểm xã hội Thành phố: health-insurance cards."""

from lienthong import Department

insurance = Department("insurance")
