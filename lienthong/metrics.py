"""Every metric of the library, declared in one place (`/metrics` of each service)."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY: Final = CollectorRegistry(auto_describe=True)
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)

EVENTS_ADMITTED: Final = Counter(
    "lienthong_events_admitted_total", "Events the gate admitted.", ["topic"], registry=REGISTRY
)
EVENTS_REFUSED: Final = Counter(
    "lienthong_events_refused_total", "Events the gate refused.", ["topic", "rule"], registry=REGISTRY
)
EVENTS_ACKNOWLEDGED: Final = Counter(
    "lienthong_events_acknowledged_total", "Events the broker confirmed.", ["topic"], registry=REGISTRY
)
EVENTS_UNDELIVERED: Final = Counter(
    "lienthong_events_undelivered_total",
    "Sends without confirmation; tried again.",
    ["topic"],
    registry=REGISTRY,
)
EVENTS_HANDLED: Final = Counter(
    "lienthong_events_handled_total",
    "Events whose effect was committed.",
    ["topic", "group"],
    registry=REGISTRY,
)
EVENTS_REPEATED: Final = Counter(
    "lienthong_events_repeated_total",
    "Deliveries the inbox had already seen.",
    ["topic", "group"],
    registry=REGISTRY,
)
EVENTS_RETRIED: Final = Counter(
    "lienthong_events_retried_total",
    "Failed tries of a retriable kind.",
    ["topic", "group"],
    registry=REGISTRY,
)
EVENTS_SET_ASIDE: Final = Counter(
    "lienthong_events_set_aside_total",
    "Dead letters, by the reason's code.",
    ["topic", "group", "code"],
    registry=REGISTRY,
)
LETTERS_SENT_AGAIN: Final = Counter(
    "lienthong_letters_sent_again_total",
    "Dead letters that were sent again, by what came of it.",
    ["topic", "group", "outcome"],
    registry=REGISTRY,
)
EVENT_HANDLED_SECONDS: Final = Histogram(
    "lienthong_event_handled_seconds",
    "Time from fact recorded to fact handled.",
    ["topic", "group"],
    buckets=SECONDS,
    registry=REGISTRY,
)
OUTBOX_RECORDS: Final = Gauge("lienthong_outbox_records", "Rows waiting in the outbox.", registry=REGISTRY)
OUTBOX_AGE_SECONDS: Final = Gauge("lienthong_outbox_age_seconds", "Age of its oldest row.", registry=REGISTRY)
SPOOL_RECORDS: Final = Gauge("lienthong_spool_records", "Facts waiting in the spool.", registry=REGISTRY)
SPOOL_BYTES: Final = Gauge("lienthong_spool_bytes", "Bytes that they take.", registry=REGISTRY)
SPOOL_AGE_SECONDS: Final = Gauge("lienthong_spool_age_seconds", "Age of its oldest fact.", registry=REGISTRY)
LAG_RECORDS: Final = Gauge(
    "lienthong_lag_records", "Records not yet handled.", ["topic", "group"], registry=REGISTRY
)
RECORDS_MISSED: Final = Counter(
    "lienthong_records_missed_total",
    "Records that retention deleted before the group had read them.",
    ["topic", "group"],
    registry=REGISTRY,
)
PARKED_RECORDS: Final = Gauge(
    "lienthong_parked_records", "Records waiting for, or behind, a retry.", ["group"], registry=REGISTRY
)
HELD_BYTES: Final = Gauge(
    "lienthong_held_bytes", "Memory of the records a reader holds, about.", ["group"], registry=REGISTRY
)
READERS_STOPPED: Final = Counter(
    "lienthong_readers_stopped_total",
    "Readers that stopped because too much had to be set aside.",
    ["group"],
    registry=REGISTRY,
)
FIELDS_READ: Final = Counter(
    "lienthong_fields_read_total",
    "How often a handler's code read a field it is granted.",
    ["topic", "field"],
    registry=REGISTRY,
)
INTAKE_PROBLEMS: Final = Counter(
    "lienthong_intake_problems_total", "Raw records that could not become facts.", ["kind"], registry=REGISTRY
)
