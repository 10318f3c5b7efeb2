"""The department's own tables: the register of wards and communes, the agencies, and the city's figures."""

from datetime import datetime

from lienthong import Connection
from services.science.events import Agency, Unit

TABLES = """
CREATE TABLE IF NOT EXISTS unit (
    unit_code text PRIMARY KEY,
    entry     jsonb NOT NULL
);
CREATE TABLE IF NOT EXISTS agency (
    agency_code text PRIMARY KEY,
    entry       jsonb NOT NULL
);
-- What the city's operations desk looks at.
CREATE TABLE IF NOT EXISTS dossier_completed (
    dossier_code text PRIMARY KEY, procedure text NOT NULL, is_late boolean NOT NULL
);
CREATE TABLE IF NOT EXISTS feedback (feedback_id text PRIMARY KEY, rating integer NOT NULL);
CREATE TABLE IF NOT EXISTS licence (
    licence_number text PRIMARY KEY, unit_code text, is_ended boolean NOT NULL DEFAULT false
);
CREATE TABLE IF NOT EXISTS price (
    market_code text NOT NULL, good_code text NOT NULL,
    price_vnd integer NOT NULL, observed_at timestamptz NOT NULL,
    observations bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (market_code, good_code)
);
CREATE OR REPLACE VIEW figures AS
    SELECT 'dossiers completed' AS figure, count(*) AS value FROM dossier_completed
    UNION ALL SELECT 'dossiers completed late', count(*) FROM dossier_completed WHERE is_late
    UNION ALL SELECT 'feedback, mean rating', round(avg(rating), 2) FROM feedback
    UNION ALL SELECT 'licences in force', count(*) FROM licence WHERE NOT is_ended;
-- What the department did about every fact that it reads; the ledger holds it against the bus.
CREATE OR REPLACE VIEW effect (consumer_group, topic, key, times) AS
    SELECT 'science.city-monitoring', 'onestop.dossier-completed.v1', dossier_code, 1::bigint
    FROM dossier_completed
    UNION ALL SELECT 'science.city-monitoring', 'onestop.feedback-received.v1', feedback_id, 1 FROM feedback
    UNION ALL SELECT 'science.city-monitoring', 'trade.retail-licence-granted.v1', licence_number, 1
    FROM licence WHERE unit_code IS NOT NULL
    UNION ALL SELECT 'science.city-monitoring', 'trade.retail-licence-ended.v1', licence_number, 1
    FROM licence WHERE is_ended
    UNION ALL SELECT 'science.city-monitoring', 'trade.price-observed.v1',
        market_code || '|' || good_code, observations
    FROM price;
"""

_ENTER = """
INSERT INTO unit (unit_code, entry) VALUES ($1, $2)
ON CONFLICT (unit_code) DO UPDATE SET entry = excluded.entry
"""
_ENTER_AGENCY = """
INSERT INTO agency (agency_code, entry) VALUES ($1, $2)
ON CONFLICT (agency_code) DO UPDATE SET entry = excluded.entry
"""
_NOTE_GRANTED = """
INSERT INTO licence (licence_number, unit_code) VALUES ($1, $2)
ON CONFLICT (licence_number) DO UPDATE SET unit_code = excluded.unit_code
"""
_NOTE_ENDED = """
INSERT INTO licence (licence_number, is_ended) VALUES ($1, true)
ON CONFLICT (licence_number) DO UPDATE SET is_ended = true
"""
_NOTE_PRICE = """
INSERT INTO price (market_code, good_code, price_vnd, observed_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (market_code, good_code) DO UPDATE SET
    price_vnd = CASE WHEN price.observed_at <= excluded.observed_at
        THEN excluded.price_vnd ELSE price.price_vnd END,
    observed_at = greatest(price.observed_at, excluded.observed_at),
    observations = price.observations + 1
"""


async def enter(db: Connection, unit: Unit) -> None:
    """Enter a unit, or what is new about it."""
    await db.execute(_ENTER, unit.unit_code, unit.model_dump(mode="json", exclude_none=True))


async def strike(db: Connection, unit_code: str) -> bool:
    """Strike a unit that is no more; False where there is none."""
    struck = await db.fetchval("DELETE FROM unit WHERE unit_code = $1 RETURNING true", unit_code)
    return struck is True


async def enter_agency(db: Connection, agency: Agency) -> None:
    """Enter an agency, or what is new about it."""
    await db.execute(_ENTER_AGENCY, agency.agency_code, agency.model_dump(mode="json", exclude_none=True))


async def note_completed(db: Connection, dossier_code: str, procedure: str, *, is_late: bool) -> None:
    """Count a completed dossier, once."""
    await db.execute(
        "INSERT INTO dossier_completed VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        dossier_code,
        procedure,
        is_late,
    )


async def note_feedback(db: Connection, feedback_id: str, rating: int) -> None:
    """Count a feedback, once."""
    await db.execute("INSERT INTO feedback VALUES ($1, $2) ON CONFLICT DO NOTHING", feedback_id, rating)


async def note_granted(db: Connection, licence_number: str, unit_code: str) -> None:
    """Count a licence in its unit; its end may have come first."""
    await db.execute(_NOTE_GRANTED, licence_number, unit_code)


async def note_ended(db: Connection, licence_number: str) -> None:
    """Count a licence as ended."""
    await db.execute(_NOTE_ENDED, licence_number)


async def note_price(
    db: Connection, market_code: str, good_code: str, price_vnd: int, observed_at: datetime
) -> None:
    """Keep the newest price of a good at a market."""
    await db.execute(_NOTE_PRICE, market_code, good_code, price_vnd, observed_at)
