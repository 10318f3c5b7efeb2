"""A table of an existing database as the beginning of an event: how it is read, how its rows are told."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from lienthong.contracts import load_contracts
from lienthong.contracts.check import check
from lienthong.contracts.release import release
from lienthong.database import open_pool, set_up_tables
from lienthong.errors import BusNotUsable, ContractsNotSound
from lienthong.gate import Gate
from lienthong.scaffold import plan_department, plan_event
from lienthong.scaffold.table import Table, fetch_table, read_table
from lienthong.settings import load_bus
from tests.unit.contract_city import City

SOURCE = """
CREATE TYPE hang AS ENUM ('cap-tinh', 'cap-quoc-gia');
CREATE DOMAIN ghi_chu AS varchar(300);
CREATE TABLE "Di tích" (
    "Mã" varchar(12) PRIMARY KEY,
    ten_di_tich text NOT NULL,
    ho_ten_chu text,
    hang hang NOT NULL,
    dien_tich numeric(9, 2),
    so_nha_id bigint,
    xep_hang date NOT NULL,
    sua_luc timestamp,
    con_mo boolean NOT NULL DEFAULT true,
    ghi_chu ghi_chu,
    toa_do point
);
COMMENT ON COLUMN "Di tích"."Mã" IS 'Mã di tích: do sở cấp';
COMMENT ON COLUMN "Di tích".ten_di_tich IS 'Tên di tích';
INSERT INTO "Di tích" VALUES
    ('DT-0002', 'Đình Mẫu', 'Nguyễn Thị Mẫu', 'cap-tinh', 120.5, 7, '1990-05-01', '2025-01-02 08:00', true,
        'a', NULL),
    ('DT-0001', 'Chùa "Mẫu"', NULL, 'cap-quoc-gia', NULL, NULL, '1962-04-28', NULL, false, NULL, '(1,2)');
"""
ADD = """
INSERT INTO "Di tích" ("Mã", ten_di_tich, hang, xep_hang, con_mo)
VALUES ($1, 'Đền Mẫu', 'cap-tinh', '2001-02-03', true)
"""


@dataclass
class Source:
    """A department's database with a table that was there before."""

    url: str = field(repr=False)
    db: Any
    table: Table

    async def told(self, kind: str) -> list[dict[str, Any]]:
        """Take what the intake holds, in order."""
        rows = await self.db.fetch(
            "WITH gone AS (DELETE FROM lienthong.intake WHERE kind = $1 RETURNING id, raw)"
            " SELECT raw FROM gone ORDER BY id",
            kind,
        )
        return [orjson.loads(row["raw"]) for row in rows]


@pytest.fixture
async def source(data: Path) -> AsyncIterator[Source]:
    postgres = load_bus(data)["postgres"]
    secret = (data / "secrets/postgres.password").read_text().strip()
    where = {
        "host": postgres["host"],
        "port": postgres["port"],
        "user": postgres["superuser"],
        "password": secret,
    }
    name = f"relics_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(**where, database="postgres")
    await admin.execute(f"CREATE DATABASE {name}")
    db = await asyncpg.connect(**where, database=name)
    await db.execute(SOURCE)
    url = f"postgresql://{where['user']}:{secret}@{where['host']}:{where['port']}/{name}"
    yield Source(url, db, await fetch_table(db, '"Di tích"', []))
    await db.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


def begin(folder: Path, event: str, source: Source, **options: Any) -> Path:
    """Begin an event of the table in a small city, and release it."""
    root = City.found(folder).root
    plan_department(root, "culture", title="Sở Văn hóa và Thể thao").carry_out()
    plan_event(root, event, title="Di tích", table=source.table, **options).carry_out()
    assert [str(finding) for finding in check(root)] == []
    release(root)
    return root


async def start(root: Path, source: Source) -> None:
    """Do what the service does when it starts: make its tables."""
    names: dict[str, str] = {}
    exec((root / "services/culture/store.py").read_text("utf-8"), names)
    pool = await open_pool(source.url, 1, "test")
    try:
        await set_up_tables(pool, names["TABLES"])
    finally:
        await pool.close()


def judge(root: Path, topic: str, record: dict[str, Any]) -> None:
    """Put a record through the gate."""
    moment = datetime.fromisoformat("2026-01-01T00:00:00+07:00")
    Gate.load(root / "schemas").check_data(
        topic, orjson.dumps(record), time=moment, recorded_at=moment, subject=None, event_id="0"
    )


async def test_columns_become_fields_and_no_value_of_a_row_is_in_the_contract(
    source: Source, tmp_path: Path
) -> None:
    root = begin(tmp_path, "culture.relic-registered", source)
    contract = load_contracts(root).contracts["culture.relic-registered.v1"]
    fields = {field.name: field for field in contract.fields}
    assert {name: (field.logical_type, field.required) for name, field in fields.items()} == {
        "ma_code": ("string", True),
        "ten_di_tich": ("string", True),
        "ho_ten_chu": ("string", False),
        "hang": ("string", True),
        "dien_tich": ("number", False),
        "so_nha_id": ("string", False),
        "xep_hang_on": ("date", True),
        "sua_luc_at": ("timestamp", False),
        "con_mo": ("boolean", True),
        "ghi_chu": ("string", False),
    }
    assert contract.key == ("ma_code",)
    assert fields["ma_code"].label == "Mã di tích"
    assert fields["ma_code"].options == {"pattern": "^[A-Z0-9-]{1,12}$"}
    assert fields["dien_tich"].options == {"minimum": 0, "maximum": 1_000}
    assert [code.value for code in fields["hang"].codes] == ["cap-tinh", "cap-quoc-gia"]
    assert {fields[name].classification for name in ("ten_di_tich", "ho_ten_chu", "ghi_chu")} == {"personal"}
    assert source.table.remarks == ["Left out, because no field can hold it: toa_do (point)."]
    written = "".join(path.read_text("utf-8") for path in (root / "contracts/culture").iterdir())
    assert [
        value for value in ("Đình", "Nguyễn", "DT-000", "120.5", "1990", "1962") if value in written
    ] == []


async def test_rows_that_were_there_and_rows_that_come_are_told_once_each_and_the_gate_takes_them(
    source: Source, tmp_path: Path
) -> None:
    root = begin(tmp_path, "culture.relic-registered", source)
    await start(root, source)
    await start(root, source)
    first = await source.told("relic-registered")
    assert [record["ma_code"] for record in first] == ["DT-0001", "DT-0002"]
    assert first[1]["sua_luc_at"].startswith("2025-01-02T")
    assert datetime.fromisoformat(first[1]["sua_luc_at"]) == datetime.fromisoformat("2025-01-02T08:00+07:00")
    assert first[1]["so_nha_id"] == "7"
    await source.db.execute(ADD, "DT-0003")
    await source.db.execute("""UPDATE "Di tích" SET con_mo = false""")
    (third,) = await source.told("relic-registered")
    for record in (*first, third):
        judge(root, "culture.relic-registered.v1", record)


async def test_a_row_that_is_undone_is_never_told(source: Source, tmp_path: Path) -> None:
    await start(begin(tmp_path, "culture.relic-registered", source), source)
    await source.told("relic-registered")
    transaction = source.db.transaction()
    await transaction.start()
    await source.db.execute(ADD, "DT-0004")
    await transaction.rollback()
    assert await source.told("relic-registered") == []


async def test_a_state_is_told_again_when_it_changes_and_retracted_when_it_goes(
    source: Source, tmp_path: Path
) -> None:
    root = begin(tmp_path, "culture.relic", source, is_state=True)
    await start(root, source)
    await source.told("relic")
    await source.db.execute("""UPDATE "Di tích" SET con_mo = true WHERE "Mã" = 'DT-0001'""")
    await source.db.execute("""UPDATE "Di tích" SET "Mã" = 'DT-0009' WHERE "Mã" = 'DT-0001'""")
    await source.db.execute("""DELETE FROM "Di tích" WHERE "Mã" = 'DT-0009'""")
    changed, old, renamed, gone = await source.told("relic")
    assert (changed["ma_code"], changed["con_mo"]) == ("DT-0001", True)
    assert (old, renamed["ma_code"], gone) == ({"retracted": "DT-0001"}, "DT-0009", {"retracted": "DT-0009"})
    judge(root, "culture.relic.v1", renamed)


async def test_a_key_of_several_columns_is_retracted_as_it_was_published(
    source: Source, tmp_path: Path
) -> None:
    await source.db.execute("CREATE TABLE gia (cho varchar(8), ngay date, gia int, PRIMARY KEY (cho, ngay))")
    prices = Source(source.url, source.db, await fetch_table(source.db, "gia", []))
    root = begin(tmp_path, "culture.price", prices, is_state=True)
    await start(root, prices)
    await source.db.execute("INSERT INTO gia VALUES ('CHO-1', '2026-01-02', 5)")
    await source.db.execute("DELETE FROM gia")
    told, gone = await prices.told("price")
    assert told == {"cho_code": "CHO-1", "ngay_code": "2026-01-02", "gia": 5}
    judge(root, "culture.price.v1", told)
    assert Gate.load(root / "schemas").key_of("culture.price.v1", told) == gone["retracted"]


async def test_who_writes_the_table_needs_no_right_to_the_intake(source: Source, tmp_path: Path) -> None:
    await start(begin(tmp_path, "culture.relic-registered", source), source)
    await source.told("relic-registered")
    clerk = f"clerk_{secrets.token_hex(4)}"
    await source.db.execute(f'CREATE ROLE {clerk}; GRANT INSERT ON "Di tích" TO {clerk}; SET ROLE {clerk}')
    await source.db.execute(ADD, "DT-0005")
    await source.db.execute(f"RESET ROLE; DROP OWNED BY {clerk}; DROP ROLE {clerk}")
    assert [record["ma_code"] for record in await source.told("relic-registered")] == ["DT-0005"]


async def test_where_the_table_is_not_there_one_like_it_is_made(source: Source, tmp_path: Path) -> None:
    root = begin(tmp_path, "culture.relic-registered", source)
    await source.db.execute('DROP TABLE "Di tích"; DROP TYPE hang; DROP DOMAIN ghi_chu')
    with pytest.raises(asyncpg.UndefinedObjectError):
        await source.db.execute("SELECT NULL::hang")
    await start(root, source)
    await source.db.execute(ADD, "DT-0006")
    assert [record["ma_code"] for record in await source.told("relic-registered")] == ["DT-0006"]


async def test_what_cannot_be_a_beginning_gets_a_sentence(source: Source) -> None:
    await source.db.execute(
        "CREATE TABLE heap (a text); CREATE VIEW seen AS SELECT 1 AS id;"
        "CREATE TABLE person (so_cccd varchar(12) PRIMARY KEY, ho_ten text)"
    )
    for table, key, sentence in [
        ("nowhere", [], "nowhere is not there."),
        ("seen", [], r"seen is no table \(a view, say\)\."),
        ("heap", [], "heap has no primary key: nobody could tell one record from another."),
        ("heap", ["b"], "The key of heap is b, which is no column of it."),
        ("person", [], "The key of person is so_cccd, which tells of a person"),
    ]:
        with pytest.raises(ContractsNotSound, match=sentence):
            await fetch_table(source.db, table, key)


def test_a_database_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(BusNotUsable) as refused:
        read_table("postgresql://culture:bi-mat@127.0.0.1:1/culture", "relic")
    assert "The database of relic cannot be reached" in str(refused.value)
    assert "bi-mat" not in str(refused.value)
