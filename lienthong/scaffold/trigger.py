"""SQL that hands each row of a department's own table to its intake, in the transaction that writes the row.

So a row that is undone is never told, and one that is committed always is. The trigger is made together with
the first telling of the rows that were there before it: none is missed in between, none told twice.
"""

from lienthong.contracts.typed import WIDTH
from lienthong.scaffold.draft import Draft, EventDraft
from lienthong.scaffold.table import Table, identifier

_HAND_IN = "INSERT INTO lienthong.intake (kind, raw)"


def tables_text(draft: EventDraft, table: Table) -> str:
    """Write the room's module with the table and its trigger."""
    sql = "\n".join(["", *_table_lines(table), *_function(draft), *_trigger(draft, table), ""])
    escaped = sql.replace("\\", "\\\\").replace('"""', '\\"""')
    return (
        '"""The department\'s own table, and the trigger that hands its rows to the intake (hop 0)."""\n\n'
        f'TABLES = """{escaped}"""\n'
    )


def _table_lines(table: Table) -> list[str]:
    # Where the table is, this does nothing; elsewhere (a demo, a test) it makes one that is alike.
    null = {True: " NOT NULL", False: ""}
    columns = [
        f"    {identifier(one.name)} {'text' if one.codes else one.written}{null[one.required]},"
        for one in table.columns
    ]
    key = ", ".join(map(identifier, table.key))
    return [
        "-- The table is there already; where it is not (a demo, a test) one like it is made.",
        f"CREATE TABLE IF NOT EXISTS {table.written} (",
        *columns,
        f"    PRIMARY KEY ({key})",
        ");",
    ]


def _function(draft: EventDraft) -> list[str]:
    # SECURITY DEFINER: whoever writes a row need not know of the intake, nor have a right to it.
    body = _state_body(draft) if draft.is_state else [*_hand_in(draft, "NEW", "    ", end=";")]
    return [
        f"CREATE OR REPLACE FUNCTION {_name(draft)}() RETURNS trigger",
        "LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $tell$",
        "BEGIN",
        *body,
        "    RETURN NULL;",
        "END $tell$;",
    ]


def _name(draft: EventDraft) -> str:
    # PostgreSQL would cut it there in silence, and a second start would not find it again.
    return f"tell_{draft.word}"[:63]


def _state_body(draft: EventDraft) -> list[str]:
    old, new = _key(draft, "OLD"), _key(draft, "NEW")
    return [
        "    IF TG_OP = 'DELETE' THEN",
        *_retract(draft, old, "        "),
        "        RETURN NULL;",
        f"    ELSIF TG_OP = 'UPDATE' AND {old} IS DISTINCT FROM {new} THEN",
        *_retract(draft, old, "        "),
        "    END IF;",
        *_hand_in(draft, "NEW", "    ", end=";"),
    ]


def _key(draft: EventDraft, row: str) -> str:
    parts = [_value(one.source or "", row) for one in draft.keys]
    return parts[0] if len(parts) == 1 else f"concat_ws('|', {', '.join(parts)})"


def _value(source: str, row: str) -> str:
    return source.format(row=row)


def _retract(draft: EventDraft, key: str, indent: str) -> list[str]:
    told = f"jsonb_build_object('retracted', {key})"
    return [
        f"{indent}{_HAND_IN}",
        f"{indent}VALUES ('{draft.topic.event}', convert_to({told}::text, 'UTF8'));",
    ]


def _hand_in(draft: EventDraft, row: str, indent: str, *, end: str) -> list[str]:
    """Write the row as JSON, what is null left out."""
    # jsonb_build_object takes a hundred arguments: larger rows are put together in parts.
    parts = [draft.fields[at : at + 45] for at in range(0, len(draft.fields), 45)]
    objects = []
    for part in parts:
        pairs = ",\n".join(_pair(one, row, f"{indent}    ") for one in part)
        objects.append(f"jsonb_build_object(\n{pairs}\n{indent})")
    whole = " || ".join(objects)
    return [
        f"{indent}{_HAND_IN}",
        f"{indent}SELECT '{draft.topic.event}', convert_to(jsonb_strip_nulls({whole})::text, 'UTF8'){end}",
    ]


def _pair(one: Draft, row: str, indent: str) -> str:
    line = f"{indent}'{one.name}', {_value(one.source or '', row)}"
    return line if len(line) < WIDTH else line.replace(", ", f",\n{indent}", 1)


def _trigger(draft: EventDraft, table: Table) -> list[str]:
    name, when = _name(draft), "INSERT OR UPDATE OR DELETE" if draft.is_state else "INSERT"
    order = ", ".join(f"one.{identifier(name)}" for name in table.key)
    return [
        "DO $once$",
        "BEGIN",
        f"    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = '{name}'",
        f"        AND tgrelid = '{table.written.replace(chr(39), chr(39) * 2)}'::regclass) THEN",
        f"        CREATE TRIGGER {name} AFTER {when} ON {table.written}",
        f"            FOR EACH ROW EXECUTE FUNCTION {name}();",
        *_hand_in(draft, "one", "        ", end=""),
        f"        FROM {table.written} AS one ORDER BY {order};",
        "    END IF;",
        "END $once$;",
    ]
