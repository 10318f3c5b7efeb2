"""The service: `faststream run services.trade.app:app`."""

from services.trade import handlers, publishers, store, trade  # noqa: F401

app = trade.app(tables=store.TABLES)
