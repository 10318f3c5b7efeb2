"""What the department does when others speak: a birth is registered when its two halves are here."""

from lienthong import Connection, Event, NotHandled
from services.justice import justice, publishers, store
from services.justice.events import BirthNotified, DossierSubmitted

justice.keeps("science.unit.v1", purpose="reference")
justice.keeps("health.facility.v1", purpose="reference")


class SecondDossier(NotHandled):
    """A birth is registered from one dossier only."""

    code = "second-dossier"
    remedy = "Tell the counter; if the second one is right, the register is corrected by its own procedure."


@justice.reads("health.birth-notified.v1", purpose="birth-registration")
async def note_notification(event: Event[BirthNotified], db: Connection) -> None:
    """Keep a notified birth, and register it if its dossier waits. Twice is the same as once."""
    if dossier := await store.note_notification(db, event.data):
        await publishers.register(db, event.data, dossier)


@justice.reads("onestop.dossier-submitted.v1", purpose="birth-registration")
async def note_dossier(event: Event[DossierSubmitted], db: Connection) -> None:
    """Keep a dossier, and register its birth if that was notified. Twice is the same as once."""
    first_code, notification = await store.note_dossier(db, event.data)
    if first_code != event.data.dossier_code:
        raise SecondDossier(reason=f"dossier {first_code} came first for the same birth")
    if notification:
        await publishers.register(db, notification, event.data)
