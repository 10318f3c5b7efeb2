"""The service: `faststream run services.police.app:app`."""

from services.police import handlers, police, publishers, store  # noqa: F401

app = police.app(tables=store.TABLES)
