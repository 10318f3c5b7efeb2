"""The service: `faststream run services.science.app:app`."""

from services.science import handlers, publishers, science, store  # noqa: F401

app = science.app(tables=store.TABLES)
