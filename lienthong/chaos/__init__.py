"""The checker: break a city that delivers, look on from outside, and judge what it delivered.

It runs a small city of its own on three brokers and a database, injects faults, keeps a history, and
computes a verdict from it: `lienthong chaos`. What observes and judges shares no code with the delivery.
"""
