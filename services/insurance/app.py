"""The service: `faststream run services.insurance.app:app`."""

from services.insurance import handlers, insurance, publishers, store  # noqa: F401

app = insurance.app(tables=store.TABLES)
