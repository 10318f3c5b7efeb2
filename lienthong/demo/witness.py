"""Note every fact as it is committed, beside the delivery and without its code: by a database trigger."""

from typing import Final

from lienthong.database import Connection

_INSTALL: Final = """
CREATE SCHEMA IF NOT EXISTS witness;
CREATE TABLE IF NOT EXISTS witness.fact (id uuid NOT NULL, topic text NOT NULL);
CREATE OR REPLACE FUNCTION witness.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO witness.fact VALUES (new.id, new.aggregatetype);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER witness AFTER INSERT ON lienthong.outbox
    FOR EACH ROW EXECUTE FUNCTION witness.note();
"""

# The ledger looks as the department; what the witness noted it may read, and not change.
_SHOW: Final = """
SELECT format('GRANT USAGE ON SCHEMA witness TO %1$I; GRANT SELECT ON witness.fact TO %1$I',
    pg_get_userbyid(datdba)) FROM pg_database WHERE datname = current_database()
"""


async def install(db: Connection) -> None:
    """Install the witness in a department's database, before its first fact; `db` is the super user's.

    Raises:
        asyncpg.UndefinedTableError: the department's service has not made its tables yet.
    """
    async with db.transaction():
        await db.execute(_INSTALL)
        await db.execute(await db.fetchval(_SHOW))
