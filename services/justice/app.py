"""The service: `faststream run services.justice.app:app`."""

from services.justice import handlers, justice, publishers, store  # noqa: F401

app = justice.app(tables=store.TABLES)
