"""What the department does when others speak: it registers births and deaths whose halves are here."""

from lienthong import Connection, Event, NotHandled
from services.justice import amendments, deaths, judging, justice, publishers, store
from services.justice.events import (
    BirthNoticeAnnulled,
    BirthNotified,
    DeathNotified,
    DeathSubmitted,
    DossierSubmitted,
    ForeignParentDeclared,
    PersonNumbered,
)

BIRTH, DEATH = "birth-registration", "death-registration"

justice.keeps("science.unit.v1", purpose="reference")
justice.keeps("health.facility.v1", purpose="reference")


class NumberOfNobody(NotHandled):
    """A personal number was given for a registration that is not in the register."""

    code = "number-of-nobody"
    remedy = "Ask the police which registration they meant."


@justice.reads("health.birth-notified.v1", purpose=BIRTH)
async def note_notification(event: Event[BirthNotified], db: Connection) -> None:
    """Keep a notified birth, and register it if its dossier waits. Twice is the same as once."""
    await _register_if_complete(db, await store.note_notification(db, event.data))


@justice.reads("onestop.dossier-submitted.v1", purpose=BIRTH)
async def note_dossier(event: Event[DossierSubmitted], db: Connection) -> None:
    """Keep a dossier and register its birth if that was notified, or turn it down. Twice is once."""
    dossier = event.data
    if reasons := judging.reasons_against_birth(dossier):
        await publishers.reject(db, "birth", dossier.dossier_code, dossier.notification_id, reasons)
        return
    birth = await store.note_dossier(db, dossier)
    if birth.is_annulled:
        await publishers.reject(
            db, "birth", dossier.dossier_code, dossier.notification_id, ["notice-annulled"]
        )
    elif birth.dossier and birth.dossier.dossier_code != dossier.dossier_code:
        registered = await store.find_registration(db, dossier.notification_id)
        reason = "already-registered" if registered else "other-dossier-first"
        await publishers.reject(db, "birth", dossier.dossier_code, dossier.notification_id, [reason])
    else:
        await _register_if_complete(db, birth)


@justice.reads("onestop.foreign-parent-declared.v1", purpose=BIRTH)
async def note_foreign_parent(event: Event[ForeignParentDeclared], db: Connection) -> None:
    """Keep a foreign father, and supplement the entry where the birth is registered already."""
    await store.note_foreign_parent(db, event.data)
    registered = await store.find_registration(db, event.data.notification_id)
    if registered and registered.dossier_code == event.data.dossier_code:
        entry = publishers.with_foreign_father(registered.entry, event.data)
        await store.rewrite(db, registered.registration_number, entry)


@justice.reads("health.birth-notice-annulled.v1", purpose=BIRTH)
async def annul_notice(event: Event[BirthNoticeAnnulled], db: Connection) -> None:
    """Annul what was registered on a notice taken back; a dossier that waits is turned down."""
    birth = await store.annul_notice(db, event.data.notification_id)
    registered = await store.find_registration(db, event.data.notification_id)
    if registered and not registered.is_annulled:
        await amendments.annul_birth(db, registered, "notice-annulled")
    elif not registered and birth.dossier:
        waiting = birth.dossier
        await publishers.reject(
            db, "birth", waiting.dossier_code, waiting.notification_id, ["notice-annulled"]
        )


@justice.reads("police.person-numbered.v1", purpose=BIRTH)
async def note_number(event: Event[PersonNumbered], db: Connection) -> None:
    """Write a child's personal number beside its entry; the latest holds."""
    if not await store.set_personal_number(db, event.data.registration_number, event.data.personal_number):
        raise NumberOfNobody(reason=f"registration {event.data.registration_number} is not in the register")


@justice.reads("health.death-notified.v1", purpose=DEATH)
async def note_death(event: Event[DeathNotified], db: Connection) -> None:
    """Keep a notified death, and register it if its dossier waits. Twice is the same as once."""
    death = await deaths.note_notice(db, event.data)
    if death.dossier:
        await publishers.register_death(db, event.data, death.dossier)


@justice.reads("onestop.death-submitted.v1", purpose=DEATH)
async def note_death_dossier(event: Event[DeathSubmitted], db: Connection) -> None:
    """Keep a dossier and register its death if that was notified, or turn it down. Twice is once."""
    dossier = event.data
    if reasons := judging.reasons_against_death(dossier):
        await publishers.reject(db, "death", dossier.dossier_code, dossier.notice_id, reasons)
        return
    death = await deaths.note_dossier(db, dossier)
    if death.dossier and death.dossier.dossier_code != dossier.dossier_code:
        registered = await deaths.find_number(db, dossier.notice_id)
        reason = "already-registered" if registered else "other-dossier-first"
        await publishers.reject(db, "death", dossier.dossier_code, dossier.notice_id, [reason])
    elif death.notice:
        await publishers.register_death(db, death.notice, dossier)


async def _register_if_complete(db: Connection, birth: store.Birth) -> None:
    if birth.notification and birth.dossier and not birth.is_annulled:
        foreign_parent = await store.find_foreign_parent(db, birth.dossier.dossier_code)
        await publishers.register(db, birth.notification, birth.dossier, foreign_parent)
