"""The frozen schemas as a read-only schema registry, which speaks Confluent's REST API (hop 3)."""

from lienthong.registry.app import registry_app
from lienthong.registry.book import Book, Registered

__all__ = ["Book", "Registered", "registry_app"]
