"""The service: `faststream run services.onestop.app:app`."""

from services.onestop import handlers, onestop, publishers, store  # noqa: F401

app = onestop.app(tables=store.TABLES)
