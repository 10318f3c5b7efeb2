"""Sở Công Thương: retail licences, and the prices of essential goods."""

from lienthong import Department

trade = Department("trade")
