"""The service: `faststream run services.justice.app:app`."""

from services.justice import amendments, deaths, handlers, justice, publishers, store  # noqa: F401

app = justice.app(tables=store.TABLES + deaths.TABLES)
