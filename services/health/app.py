"""The service: `faststream run services.health.app:app`."""

from services.health import handlers, health, publishers, store  # noqa: F401

app = health.app(tables=store.TABLES)
