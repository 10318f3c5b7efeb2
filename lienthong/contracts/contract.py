"""A contract as the rest of the library sees it: read-only, every promise and grant in one place (hop 3)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args

from lienthong import names

Classification = Literal["public", "internal", "personal", "sensitive"]
CLASSIFICATIONS: tuple[Classification, ...] = ("public", "internal", "personal", "sensitive")
"""From the least to the most protected; an event's classification is the highest of its fields'."""

LogicalType = Literal["string", "integer", "number", "boolean", "date", "timestamp", "object", "array"]


@dataclass(frozen=True, slots=True)
class Code:
    """One value of a code list, with its Vietnamese label."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `options` are ODCS logicalTypeOptions as written (minLength, maximum, pattern …)."""

    name: str
    label: str
    description: str
    logical_type: LogicalType
    required: bool
    classification: Classification
    options: Mapping[str, Any] = field(default_factory=dict)
    codes: tuple[Code, ...] = ()
    has_open_codes: bool = False
    """Readers must expect codes that are not in the list yet; adding one is then no breaking change."""
    examples: tuple[Any, ...] = ()
    key_position: int | None = None
    reference: str | None = None
    """Topic that owns the code this field holds (the ODCS foreignKey relationship): `science.unit.v1`."""
    reference_field: str | None = None
    fields: tuple["Field", ...] = ()
    """Of an object: its fields."""
    items: "Field | None" = None
    """Of an array: its element (its `name` is not used)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A cross-field rule: a CEL expression over `data` and `event` that is true for a sound event."""

    name: str
    expression: str
    description: str
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True, slots=True)
class Grant:
    """A line that lets a department read: who, on what ground, for what, which fields, until when."""

    department: str
    purpose: str
    legal_basis: str
    fields: tuple[str, ...]
    until: date
    procedure: str | None = None
    """Name of the procedure it serves, if it serves one: `Liên thông khai sinh`."""

    @property
    def group(self) -> str:
        """The one consumer group this grant opens: `<department>.<purpose>`."""
        return names.group(self.department, self.purpose)


Part = Literal[
    "ground",
    "supplements",
    "enables",
    "returns",
    "corrects",
    "annuls",
    "undoes",
    "withdraws",
    "tells",
]
PARTS: tuple[Part, ...] = get_args(Part)
"""What a fact may be to a procedure beside its opening and its steps.

The ground on which it stands, a supplement to the dossier, what makes a later step possible, the return of
the dossier, a correction, an annulment, the undoing of a step after that, the withdrawal of the ground, or
only news of how far the dossier is.
"""


@dataclass(frozen=True, slots=True)
class Opening:
    """The procedure that a fact opens, and where it says the dossier's code and when it was submitted."""

    procedure: str
    name: str
    name_en: str
    legal_basis: str
    dossier: str
    submitted_at: str
    asks: str | None = None
    """The field that lists the steps asked for; None where every dossier asks for all."""


@dataclass(frozen=True, slots=True)
class Step:
    """The step of a procedure that a fact ends, and its legal term."""

    procedure: str
    name: str
    label: str
    label_en: str
    working_days: int
    legal_basis: str


@dataclass(frozen=True, slots=True)
class Derivation:
    """Where one field of the former major comes from, once facts are published as the newer one.

    Paths are written as `mother/full_name`; a field that no derivation names keeps its own name.
    """

    path: str
    """In the former major's data."""
    sources: tuple[str, ...] = ()
    """Paths in the newer major's data; several texts are joined."""
    joined_by: str = " "
    codes: Mapping[str, str] = field(default_factory=dict)
    """The former major's code for each code that it does not have."""
    times: float | None = None
    value: Any = None
    """Always this, where there is no source."""
    otherwise: Any = None
    """This, where the source is absent."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """The major that a contract goes on from, and how each of its facts is told in that one's words."""

    topic: names.Topic
    mapping: tuple[Derivation, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """One shared dataset, as its owner signed it."""

    path: Path
    topic: names.Topic
    status: Literal["proposed", "draft", "active", "deprecated", "retired"]
    title: str
    purpose: str
    owner: str
    contact: str
    is_state: bool
    """A compacted topic, the newest record a key wins and a tombstone removes it."""
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...]
    grants: tuple[Grant, ...]
    partitions: int
    retention_seconds: int
    latency_seconds: float
    frequency_seconds: float
    max_bytes: int
    """Greatest size of an event's data, bytes of JSON."""
    valid_examples: tuple[Mapping[str, Any], ...] = ()
    invalid_examples: tuple["InvalidExample", ...] = ()
    opens: Opening | None = None
    step: Step | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    """What else it is, by procedure."""
    end_of_life: date | None = None
    """The last day on which it is promised; it may be extended, never shortened."""
    continues: Continuation | None = None
    """The former major, beside which this one runs until that one's end."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the top-level fields that make the record key, in order."""
        keyed = [f for f in self.fields if f.key_position is not None]
        return tuple(f.name for f in sorted(keyed, key=lambda f: f.key_position or 0))

    @property
    def classification(self) -> Classification:
        """The highest classification of any field."""
        return max(
            (f.classification for _, f in self.iter_fields()), key=CLASSIFICATIONS.index, default="public"
        )

    def iter_fields(self) -> Iterator[tuple[str, Field]]:
        """Walk every field, nested ones included, as (`mother/personal_number`, field)."""
        yield from _walk("", self.fields)

    def grants_of(self, department: str) -> tuple[Grant, ...]:
        """List what a department may do with this dataset."""
        return tuple(grant for grant in self.grants if grant.department == department)


@dataclass(frozen=True, slots=True)
class InvalidExample:
    """Data that the gate must refuse, and the paths it must name."""

    data: Mapping[str, Any]
    paths: tuple[str, ...]
    description: str = ""


def _walk(prefix: str, fields: tuple[Field, ...]) -> Iterator[tuple[str, Field]]:
    for item in fields:
        path = f"{prefix}{item.name}"
        yield path, item
        yield from _walk(f"{path}/", item.fields)
        if item.items is not None:
            yield from _walk(f"{path}/*/", item.items.fields)
