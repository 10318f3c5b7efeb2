"""What the department does when others speak: it closes the dossiers of registered births."""

from lienthong import Connection, Event, NotHandled
from services.onestop import onestop, store
from services.onestop.events import BirthRegistered

onestop.keeps("science.unit.v1", purpose="reference")


class DossierUnknown(NotHandled):
    """A registration names a dossier that no counter opened."""

    code = "dossier-unknown"
    remedy = "Ask Justice which dossier it meant."


@onestop.reads("justice.birth-registered.v1", purpose="dossier-follow-up")
async def close_dossier(event: Event[BirthRegistered], db: Connection) -> None:
    """Close the dossier of a registered birth, so that its counter calls the citizen."""
    if not await store.close_dossier(db, event.data):
        raise DossierUnknown(
            reason=f"the registration names dossier {event.data.dossier_code}, which no counter opened"
        )
