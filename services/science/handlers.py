"""What the department does when others speak: it keeps the figures for the city's operations desk."""

from lienthong import Connection, Event
from services.science import science, store
from services.science.events import (
    DossierCompleted,
    FeedbackReceived,
    PriceObserved,
    RetailLicenceEnded,
    RetailLicenceGranted,
)

MONITORING = "city-monitoring"


@science.reads("onestop.dossier-completed.v1", purpose=MONITORING)
async def count_dossier(event: Event[DossierCompleted], db: Connection) -> None:
    """Count a completed dossier, in time or late."""
    done = event.data
    await store.note_completed(db, done.dossier_code, done.procedure, is_late=done.is_late)


@science.reads("onestop.feedback-received.v1", purpose=MONITORING)
async def count_feedback(event: Event[FeedbackReceived], db: Connection) -> None:
    """Count how content citizens are."""
    await store.note_feedback(db, event.data.feedback_id, event.data.rating)


@science.reads("trade.retail-licence-granted.v1", purpose=MONITORING)
async def count_licence(event: Event[RetailLicenceGranted], db: Connection) -> None:
    """Count a licence in its ward or commune."""
    await store.note_granted(db, event.data.licence_number, event.data.unit_code)


@science.reads("trade.retail-licence-ended.v1", purpose=MONITORING)
async def count_ended_licence(event: Event[RetailLicenceEnded], db: Connection) -> None:
    """Count a licence as ended."""
    await store.note_ended(db, event.data.licence_number)


@science.reads("trade.price-observed.v1", purpose=MONITORING)
async def keep_price(event: Event[PriceObserved], db: Connection) -> None:
    """Keep the newest price of each good at each market."""
    seen = event.data
    await store.note_price(db, seen.market_code, seen.good_code, seen.price_vnd, seen.observed_at)
