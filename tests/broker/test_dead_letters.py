"""Dead letters again: what was set aside is found, sent to its reader once more, or discarded."""

import asyncio
import shutil
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from confluent_kafka import Consumer, TopicPartition
from typer.testing import CliRunner

from lienthong import Connection, Department, Event, NotHandled, NotYet
from lienthong.cluster.connection import department_connection
from lienthong.commands import assemble
from lienthong.letters import decide
from lienthong.letters.found import find_letters
from lienthong.letters.log import Show, silent
from lienthong.letters.office import Office, open_office
from lienthong.letters.plan import Plan, make_plan
from lienthong.letters.selection import Selection
from lienthong.service import Service
from lienthong.settings import load_settings
from lienthong.testing import running, until
from tests.broker.scratch import City, Pair, Thing
from tests.broker.test_bad_records import headers_of, read_all, write

TABLES = """
CREATE TABLE IF NOT EXISTS counted
    (number bigint GENERATED ALWAYS AS IDENTITY, thing_id text, amount integer, event_id text);
"""
COUNT = "INSERT INTO counted (thing_id, amount, event_id) VALUES ($1, $2, $3)"


def sound(thing: str, amount: int = 1) -> bytes:
    return orjson.dumps({"thing_id": thing, "amount": amount, "full_name": "Nguyễn Thị Mẫu"})


@dataclass
class Counting:
    """A reader whose handler raises what `fails` says, until that is mended."""

    pair: Pair
    fails: Callable[[Thing], Exception | None] = lambda _: NotHandled(reason="Its place is not known.")
    calls: list[str] = field(default_factory=list)
    gate: Callable[[], Awaitable[object]] | None = None

    def mend(self) -> None:
        self.fails = lambda _: None

    def department(self) -> Department:
        reader = Department(self.pair.reader)

        @reader.reads(self.pair.thing.TOPIC, purpose="counting")
        async def count(event: Event[Thing], db: Connection) -> None:
            self.calls.append(event.data.thing_id)
            await db.execute(COUNT, event.data.thing_id, event.data.amount, event.id)
            await reader.publish(
                db, self.pair.counted(thing_id=event.data.thing_id, amount=event.data.amount)
            )
            if self.gate is not None:
                await self.gate()
            if (error := self.fails(event.data)) is not None:
                raise error

        return reader

    def running(self, root: Path | None = None, **settings: Any) -> AbstractAsyncContextManager[Service]:
        settings = {"back_off_seconds": 0.05, "set_aside_most": 0, **settings}
        root = root or self.pair.root
        return running(self.department(), data=self.pair.data, root=root, tables=TABLES, **settings)

    def write(self, *records: tuple[str, bytes | None], **changed: bytes | None) -> None:
        """Write records as the publisher, past its library."""
        write(self.pair, [(key.encode(), value, headers_of(self.pair, **changed)) for key, value in records])


@pytest.fixture
def counting(scratch: City, monkeypatch: pytest.MonkeyPatch) -> Counting:
    pair = scratch.take()
    monkeypatch.setenv("LIENTHONG_DATA", str(pair.data))
    monkeypatch.setenv("LIENTHONG_ROOT", str(pair.root))
    return Counting(pair)


async def typed(*words: str) -> Any:
    """Type words after `lienthong dead-letters`; the service goes on meanwhile."""
    if words[0] == "send-again" and "--wait" not in words:
        words = (*words, "--wait", "60")
    return await asyncio.to_thread(CliRunner().invoke, assemble(), ["dead-letters", *words])


async def told(*words: str) -> Any:
    """Give what a command says as JSON."""
    return orjson.loads((await typed(*words, "--json")).stdout)


async def settled(service: Service, marks: int) -> None:
    """Wait until so many records are dealt with, and every letter is on its topic."""
    pool = service.pool
    await until(lambda: pool.fetchval("SELECT count(*) = $1 FROM lienthong.inbox", marks), within=60)
    await until(lambda: pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.dead_letter)"))


async def effects(service: Service) -> list[str]:
    return [row["thing_id"] for row in await service.pool.fetch("SELECT * FROM counted ORDER BY number")]


async def plan_of(office: Office) -> Plan:
    """Plan to send everything again, whatever became of it."""
    async with office.open_log() as log:
        found = (await find_letters(office.db, log, office.department, Selection())).found
    async with office.open_log() as log:
        return await make_plan(office.db, log, found, even_if_stale=False)


async def send(office: Office, plan: Plan, show: Show = silent) -> list[int]:
    async with office.open_log() as log:
        return await decide.send_again(
            office.db, log, plan.sent, "nam", "mended", even_if_stale=False, show=show
        )


def ends(pair: Pair) -> list[int]:
    """Tell how far the owner's topic reaches: nothing is ever written to it."""
    client = Consumer(
        department_connection(pair.data, pair.reader).for_confluent() | {"group.id": f"{pair.reader}.x"}
    )
    found = [client.get_watermark_offsets(TopicPartition(pair.thing.TOPIC, number))[1] for number in (0, 1)]
    client.close()
    return found


async def test_a_letter_is_its_record_byte_for_byte_and_sent_again_takes_effect_once(
    counting: Counting,
) -> None:
    pair = counting.pair
    odd = [("x-odd", b"\xff\x00"), ("x-odd", b""), *headers_of(pair)]
    key, value = b"vat", sound("vat", 7)
    async with counting.running() as sink:
        write(pair, [(key, value, odd)])
        await settled(sink, 1)
        (letter,) = read_all(pair, pair.reader, f"{pair.group}.dlt", 1)
        kept = [(name, value) for name, value in letter.headers() if not name.startswith("lt_")]
        assert (letter.key(), letter.value(), kept) == (key, value, odd)

        shown = await typed("show", pair.reader)
        assert "not-handled" in shown.stdout
        assert "Mẫu" not in shown.stdout, "no data unless it is asked for"
        (full,) = (await told("show", pair.reader, "--with-data"))["letters"]
        assert (full["key"], full["value"]) == ("vat", value.decode())
        assert full["headers"][0] == ["x-odd", {"base64": "/wA="}]

        reach = ends(pair)
        counting.mend()
        words = ("--yes", "--why", "the place is known", "--who", "nam")
        sent = await told("send-again", pair.reader, *words)
        assert sent["outcomes"] == [{"outcome": "handled", "code": None, "letters": 1}]
        again = await typed("send-again", pair.reader, *words)
        assert (again.exit_code, again.stdout) == (0, "Nothing to send again.\n")
        assert await effects(sink) == ["vat"]
        (mark,) = await sink.pool.fetch("SELECT outcome, code FROM lienthong.inbox")
        assert tuple(mark) == ("handled", None)
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 1 FROM lienthong.published"))
        assert ends(pair) == reach
        (decided,) = (await told("list", pair.reader, "--state", "handled"))["letters"][0]["decisions"]
        assert (decided["by"], decided["why"], decided["outcome"]) == ("nam", "the place is known", "handled")


async def test_what_has_taken_effect_takes_none_again_however_often_it_is_sent(counting: Counting) -> None:
    pair = counting.pair
    async with counting.running() as sink:
        counting.write(("vat", sound("vat")))
        await settled(sink, 1)
        counting.mend()
        async with open_office(pair.reader) as office:
            plan = await plan_of(office)
            twice = [await send(office, plan) for _ in range(2)]
            assert [len(numbers) for numbers in twice] == [1, 0], "two people with one plan send it once"
            handled = "SELECT bool_and(outcome = 'handled') FROM lienthong.letter_decision"
            await until(lambda: sink.pool.fetchval(handled))
            # And as if somebody had never looked what came of it.
            await send(office, await plan_of(office))
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.sent_again)"))
        outcomes = await sink.pool.fetch("SELECT outcome FROM lienthong.letter_decision ORDER BY id")
        assert [row["outcome"] for row in outcomes] == ["handled", "repeated"]
        assert await effects(sink) == ["vat"]


async def test_what_a_later_record_has_made_stale_is_left_out_unless_it_is_asked_for(
    counting: Counting,
) -> None:
    pair = counting.pair
    counting.fails = lambda thing: NotHandled(reason="Not that.") if thing.amount == 1 else None
    async with counting.running() as sink:
        counting.write(("vat", sound("vat", 1)), ("other", sound("other", 1)), ("vat", sound("vat", 2)))
        await settled(sink, 3)
        counting.mend()
        words = ("send-again", pair.reader, "--why", "mended", "--yes", "--json")
        first = await typed(*words)
        plan = orjson.loads(first.stdout)
        assert first.exit_code == 1
        assert [one["left_out"] for one in plan["left_out"]] == ["stale"]
        assert plan["left_out"][0]["later_handled_at"] is not None
        assert await effects(sink) == ["vat", "other"]
        told_so = await typed(*words[:-1])
        assert "left out, stale" in told_so.stdout
        forced = await typed(*words, "--even-if-stale")
        assert forced.exit_code == 0
        assert await effects(sink) == ["vat", "other", "vat"]


async def test_another_content_under_a_known_id_is_never_sent_again(counting: Counting) -> None:
    pair = counting.pair
    counting.mend()
    async with counting.running() as sink:
        known = str(uuid.uuid4()).encode()
        for amount in (1, 2):
            counting.write(("vat", sound("vat", amount)), ce_id=known)
        await settled(sink, 2)
        (letter,) = (await told("list", pair.reader))["letters"]
        assert (letter["code"], letter["state"]) == ("id-conflict", "open")
        words = ("send-again", pair.reader, "--why", "try", "--yes", "--even-if-stale", "--json")
        plan = orjson.loads((await typed(*words)).stdout)
        assert [one["left_out"] for one in plan["left_out"]] == ["id-conflict"]
        assert (plan["send_again"], plan["done"]) == ([], False)
        assert await sink.pool.fetchval("SELECT array_agg(amount) FROM counted") == [1]


async def test_what_becomes_stale_while_it_waits_is_not_handled(counting: Counting) -> None:
    pair = counting.pair
    async with counting.running() as sink:
        counting.write(("vat", sound("vat", 1)))
        await settled(sink, 1)
        counting.mend()
        # Not due, so that the newer one is surely first.
        await sink.pool.execute(
            "ALTER TABLE lienthong.sent_again ALTER due SET DEFAULT now() + interval '1 h'"
        )
        sent = await told("send-again", pair.reader, "--why", "mended", "--yes", "--wait", "0")
        assert sent["outcomes"] == [{"outcome": "waiting", "code": None, "letters": 1}]
        counting.write(("vat", sound("vat", 2)))
        await settled(sink, 2)
        await sink.pool.execute("UPDATE lienthong.sent_again SET due = now()")
        await until(lambda: sink.pool.fetchval("SELECT outcome = 'stale' FROM lienthong.letter_decision"))
        assert await sink.pool.fetchval("SELECT array_agg(amount) FROM counted") == [2]
        (letter,) = (await told("list", pair.reader))["letters"]
        assert letter["state"] == "open"


async def test_what_fails_again_is_set_aside_again_with_its_tries_counted_on(counting: Counting) -> None:
    pair = counting.pair
    counting.fails = lambda _: NotYet(reason="Its place is not known yet.")
    async with counting.running(attempts=3) as sink:
        counting.write(("vat", sound("vat")))
        counting.write(("vat", sound("vat")), ce_id=None)
        await settled(sink, 2)
        failed = await typed("send-again", pair.reader, "--why", "try", "--yes", "--json")
        assert failed.exit_code == 1
        assert [(o["outcome"], o["code"]) for o in orjson.loads(failed.stdout)["outcomes"]] == [
            ("set aside", "not-yet"),
            ("set aside", "unreadable"),
        ]
        await settled(sink, 2)
        listed = (await told("list", pair.reader))["letters"]
        assert {(one["code"], one["attempts"], one["letters"], one["state"]) for one in listed} == {
            ("not-yet", 6, 2, "open"),
            ("unreadable", 2, 2, "open"),
        }
        assert all(one["first_at"] < one["last_at"] for one in listed)
        assert counting.calls == ["vat"] * 6
        assert await effects(sink) == []
        discarded = await told(
            "discard", pair.reader, "--code", "unreadable", "--why", "the owner knows", "--yes"
        )
        assert discarded["discarded"] == 1
        counting.mend()
        await told("send-again", pair.reader, "--why", "mended", "--yes")
        states = {one["code"]: one["state"] for one in (await told("show", pair.reader))["letters"]}
        assert states == {"not-yet": "handled", "unreadable": "discarded"}
        outcomes = await sink.pool.fetch("SELECT code FROM lienthong.inbox WHERE outcome = 'set aside'")
        assert [row["code"] for row in outcomes] == ["unreadable"], "discarded is never handled"


async def test_what_spoils_its_commit_is_set_aside_again_alone(counting: Counting) -> None:
    pair = counting.pair
    async with counting.running() as sink:
        once = "ALTER TABLE counted ADD CONSTRAINT once UNIQUE (amount) DEFERRABLE INITIALLY DEFERRED"
        await sink.pool.execute(once)
        await sink.pool.execute("INSERT INTO counted (thing_id, amount) VALUES ('there', 1)")
        counting.write(("vat", sound("vat", 1)), ("other", sound("other", 2)))
        await settled(sink, 2)
        counting.mend()
        sent = await told("send-again", pair.reader, "--why", "mended", "--yes")
        assert sent["outcomes"] == [
            {"outcome": "handled", "code": None, "letters": 1},
            {"outcome": "set aside", "code": "handler-failed", "letters": 1},
        ]
        assert await effects(sink) == ["there", "other"]
        # What its handler told others went with its effect.
        published = "SELECT count(*) FROM lienthong.published WHERE topic = $1"
        await until(lambda: sink.pool.fetchval(published, pair.counted.TOPIC))
        assert await sink.pool.fetchval(published, pair.counted.TOPIC) == 1


async def test_letters_of_one_key_keep_their_order_while_one_is_tried_again(counting: Counting) -> None:
    pair = counting.pair
    async with counting.running() as sink:
        counting.write(*((key, sound(key, number)) for key in ("vat", "other") for number in range(1, 4)))
        await settled(sink, 6)
        failing = iter([NotYet(reason="Not yet."), NotYet(reason="Not yet.")])
        counting.fails = lambda thing: next(failing, None) if thing.thing_id == "vat" else None
        await told("send-again", pair.reader, "--why", "mended", "--yes", "--wait", "20")
        rows = await sink.pool.fetch("SELECT thing_id, amount FROM counted ORDER BY number")
        assert [row["amount"] for row in rows if row["thing_id"] == "vat"] == [1, 2, 3]
        assert [row["amount"] for row in rows if row["thing_id"] == "other"] == [1, 2, 3]
        assert rows[-1]["thing_id"] == "vat", "the other key did not wait"


async def test_an_unreadable_record_is_read_anew_when_its_schema_has_come(
    counting: Counting, tmp_path: Path
) -> None:
    pair = counting.pair
    for folder in ("contracts", "schemas"):
        shutil.copytree(pair.root / folder, tmp_path / folder)
    counting.mend()
    later = f"urn:vn.gov.hanoi:{pair.publisher}:thing-noted:1.1.0"
    async with counting.running(tmp_path, attempts=1) as sink:
        counting.write(("vat", sound("vat")), ce_dataschema=later.encode())
        await settled(sink, 1)
        schemas = tmp_path / "schemas" / pair.publisher / "thing-noted"
        schema = orjson.loads((schemas / "1.0.0.json").read_bytes())
        (schemas / "1.1.0.json").write_bytes(orjson.dumps(schema | {"$id": later}))
        await told("send-again", pair.reader, "--code", "unknown-version", "--why", "it is here", "--yes")
        assert await effects(sink) == ["vat"]


async def test_whatever_is_struck_down_in_the_middle_everything_ends_once(counting: Counting) -> None:
    pair, many = counting.pair, decide.AT_ONCE + 20
    async with counting.running(set_aside_most=0) as sink:
        counting.write(*((f"vat-{number}", sound(f"vat-{number}")) for number in range(many)))
        await settled(sink, many)
    counting.mend()
    # The command, after its first transaction …
    async with open_office(pair.reader) as office:
        plan = await plan_of(office)

        def cut(*_: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            await send(office, plan, cut)
    left = (await told("list", pair.reader, "--state", "open", "--most", "1000"))["letters"]
    assert len(left) == many - decide.AT_ONCE
    # … and the reader, in the middle of a record.
    reached = asyncio.Event()
    counting.gate = lambda: _hold(reached)
    async with counting.running(stop_seconds=0.2):
        await asyncio.wait_for(reached.wait(), 20)
    counting.gate = None
    async with counting.running() as sink:
        await told("send-again", pair.reader, "--why", "mended", "--yes", "--wait", "30")
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.sent_again)"))
        assert sorted(await effects(sink)) == sorted(f"vat-{number}" for number in range(many))
        assert (await told("list", pair.reader))["letters"] == []


async def _hold(reached: asyncio.Event) -> None:
    reached.set()
    await asyncio.Event().wait()


async def test_a_letter_on_its_way_to_its_topic_can_be_decided_about(counting: Counting) -> None:
    pair = counting.pair
    # Another process of the department relays, and is slow.
    other = await asyncpg.connect(load_settings(pair.reader).read_database_url())
    await other.execute("SELECT pg_advisory_lock(hashtext('lienthong.relay'))")
    async with counting.running() as sink:
        counting.write(("vat", sound("vat")))
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 1 FROM lienthong.dead_letter"))
        (letter,) = (await told("list", pair.reader))["letters"]
        assert letter["on_its_way"]
        counting.mend()
        await told("send-again", pair.reader, "--why", "mended", "--yes")
        assert await effects(sink) == ["vat"]
        await other.close()
        await settled(sink, 1)
        (letter,) = (await told("show", pair.reader))["letters"]
        assert (letter["on_its_way"], letter["state"]) == (False, "handled")


async def test_two_processes_of_a_group_share_what_was_sent_again(counting: Counting) -> None:
    pair, many = counting.pair, 20
    async with counting.running() as sink, counting.running(instance="second"):
        counting.write(*((f"vat-{number}", sound(f"vat-{number}")) for number in range(many)))
        await settled(sink, many)
        counting.mend()
        sent = await told("send-again", pair.reader, "--why", "mended", "--yes", "--wait", "20")
        assert sent["outcomes"] == [{"outcome": "handled", "code": None, "letters": many}]
        assert sorted(await effects(sink)) == sorted(f"vat-{number}" for number in range(many))
