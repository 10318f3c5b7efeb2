"""A publisher without a database: the same gate, the disk in the outbox's place, and no bus in sight."""

import asyncio
import io
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from lienthong import Department, NotValid, Refused
from lienthong.commands import main
from lienthong.contracts.release import release
from lienthong.errors import SettingsNotUsable, SpoolFull
from lienthong.hand_in import Bad, HandIn, load_schema
from lienthong.publisher import Publisher
from lienthong.spool import Spool
from lienthong.testing import until
from tests.unit.contract_city import City
from tests.unit.contract_city.majors import add_second_major
from tests.unit.test_mapping import FACT

ROOT = Path(__file__).parents[2]
TOPIC = "trade.price-observed.v1"
STATE = "health.facility.v1"
ROW = "00004-01,rice,00004-01-20261120-00000{},2026-11-20T08:00:00+07:00,18000"
HEADER = "market_code,good_code,observation_id,observed_at,price_vnd"


def price(number: int = 1, **changes: Any) -> dict[str, Any]:
    found = dict(zip(HEADER.split(","), ROW.format(number).split(","), strict=True))
    return {**found, "price_vnd": 18_000, **changes}


@pytest.fixture(autouse=True)
def nothing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No bus runs, and the environment names none; logs that a publisher set up end with the test."""
    for name in [name for name in os.environ if name.upper().startswith("LIENTHONG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIENTHONG_ROOT", str(ROOT))
    monkeypatch.setenv("LIENTHONG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LIENTHONG_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("NO_COLOR", "1")
    yield
    structlog.reset_defaults()
    logging.basicConfig(handlers=[], force=True)


@pytest.fixture
def opened() -> Iterator[Callable[..., Publisher]]:
    """Make publishers that nobody relays for."""
    made: list[Publisher] = []

    def make(department: str = "trade") -> Publisher:
        made.append(Department(department).publisher(relays=False))
        return made[-1]

    yield make
    for publisher in made:
        publisher.spool.close()


def waiting(spool: Spool, topic: str = TOPIC) -> list[Any]:
    return [row.event for row in spool.fetch(10_000) if row.topic == topic]


def hand(publisher: Publisher, content: str, *, topic: str = TOPIC, whole: bool = False, **how: Any) -> Any:
    """Hand a file in; gives the account and the bad lines."""
    bad: list[Bad] = []
    schema = load_schema(topic, publisher.check(topic), ROOT / "schemas")
    handing = HandIn(publisher, topic, schema, tell=bad.append, **how)
    take = handing.take_all if whole else handing.take_good
    return take(io.BytesIO(content.encode()), lambda _: None), bad


async def test_a_fact_is_on_the_disk_with_its_envelope_when_publish_returns(opened) -> None:
    publisher = opened()
    event_id = await publisher.publish(price(), topic=TOPIC, subject="chợ")
    (event,) = waiting(publisher.spool)
    assert (event.id, event.subject, event.key) == (event_id, "chợ", "00004-01|rice")
    assert event.source == "/vn.gov.hanoi/trade"
    assert orjson.loads(event.value) == price()


async def test_an_unsound_fact_is_refused_with_all_its_problems_and_noticed_once(opened) -> None:
    publisher = opened()
    for _ in range(2):
        with pytest.raises(NotValid) as refused:
            await publisher.publish(price(price_vnd=-1, good_code="gold"), topic=TOPIC, once=True)
    assert {problem.path for problem in refused.value.problems} == {"/price_vnd", "/good_code"}
    assert waiting(publisher.spool) == []
    (notice,) = waiting(publisher.spool, "trade.refusals")
    assert b"gold" not in notice.value


async def test_anothers_topic_is_refused(opened) -> None:
    with pytest.raises(Refused, match="belongs to health"):
        await opened().publish({}, topic=STATE)


async def test_a_full_spool_refuses_new_facts_with_a_sentence(opened, monkeypatch) -> None:
    monkeypatch.setenv("LIENTHONG_SPOOL_BYTES", "65536")
    publisher = opened()
    await _fill(publisher)
    before = publisher.spool.measure()
    with pytest.raises(SpoolFull, match=r"of at most 65,536 \(LIENTHONG_SPOOL_BYTES\)"):
        await publisher.publish(price(), topic=TOPIC)
    assert publisher.spool.measure() == before
    with pytest.raises(NotValid):
        await publisher.publish(price(price_vnd=-1), topic=TOPIC)


async def _fill(publisher: Publisher) -> None:
    for _ in range(1_000):
        try:
            await publisher.publish(price(), topic=TOPIC)
        except SpoolFull:
            return
    raise AssertionError("it never was full")


async def test_without_a_bus_facts_wait_and_it_is_said_why() -> None:
    async with Department("trade").publisher() as publisher:
        await publisher.publish(price(), topic=TOPIC)
        async with asyncio.timeout(5):
            held = await publisher.wait_sent(0.01)
        assert held.records == 1
        assert "No bus runs on" in publisher.health()
        assert not publisher.knows_bus


def test_a_misspelt_setting_is_named_before_anything_is_published(monkeypatch) -> None:
    monkeypatch.setenv("LIENTHONG_SPOOL_BYTE", "7")
    with pytest.raises(SettingsNotUsable, match="No such setting: LIENTHONG_SPOOL_BYTE"):
        Department("trade").publisher()


@pytest.mark.parametrize(
    "again",
    [price(), dict(reversed(price().items())), {**price(), "price_vnd": 18_000}],
    ids=["the same", "in another order", "made anew"],
)
async def test_the_same_content_is_the_same_fact_on_any_machine(opened, again, tmp_path, monkeypatch) -> None:
    here = opened()
    first = await here.publish(price(), topic=TOPIC, once=True)
    monkeypatch.setenv("LIENTHONG_SPOOL", str(tmp_path / "elsewhere"))
    there = opened()
    assert await there.publish(again, topic=TOPIC, once=True) == first
    assert waiting(here.spool)[0].value == waiting(there.spool)[0].value
    assert await there.publish(price(price_vnd=18_001), topic=TOPIC, once=True) != first


async def test_a_fact_that_is_told_each_time_has_an_id_each_time(opened) -> None:
    publisher = opened()
    first = await publisher.publish(price(), topic=TOPIC)
    assert await publisher.publish(price(), topic=TOPIC) != first
    assert len(waiting(publisher.spool)) == 2


async def test_while_two_majors_run_a_fact_waits_for_both_topics_under_the_same_two_ids(
    tmp_path, monkeypatch
) -> None:
    city = City.found(tmp_path)
    add_second_major(city)
    release(city.root)
    monkeypatch.setenv("LIENTHONG_ROOT", str(city.root))
    newer, former = "trade.market-inspected.v2", "trade.market-inspected.v1"
    told = []
    for machine in ("here", "there"):
        monkeypatch.setenv("LIENTHONG_SPOOL", str(tmp_path / machine))
        async with Department("trade").publisher(relays=False) as publisher:
            for _ in range(2):
                await publisher.publish(FACT, topic=newer, once=True)
            told.append([(row.topic, row.event.id, row.event.sibling_id) for row in publisher.spool.fetch(9)])
            with pytest.raises(Refused, match=f"Publish on {newer}"):
                publisher.check(former)
    ((first_topic, first, second_sibling), (second_topic, second, first_sibling)) = told[0]
    assert (first_topic, second_topic) == (newer, former)
    assert (first, second) == (first_sibling, second_sibling)
    assert told[0] == told[1]


def test_good_lines_go_on_and_each_bad_one_is_told_by_its_line(opened) -> None:
    publisher = opened()
    content = "\n".join([HEADER, ROW.format(1), ROW.format(2)[:-5] + "dear", ROW.format(3), '"x', ""])
    account, bad = hand(publisher, content)
    assert (account.lines, account.taken, account.refused, account.told_before) == (4, 2, 2, 0)
    assert [one.line for one in bad] == [3, 5]
    assert [(p.path, p.rule) for p in bad[0].problems] == [("/price_vnd", "type")]
    assert "dear" not in str(bad)
    assert len(waiting(publisher.spool, "trade.refusals")) == 1, "what is no record has no id to name"


def test_handed_in_again_with_lines_added_only_those_are_new(opened) -> None:
    publisher = opened()
    lines = [HEADER, ROW.format(1), ROW.format(2)]
    hand(publisher, "\n".join(lines))
    account, _ = hand(publisher, "\n".join([*lines, ROW.format(3), ROW.format(3)]))
    assert (account.taken, account.told_before) == (1, 3)
    assert len(waiting(publisher.spool)) == 3


def test_the_same_facts_as_json_lines_and_as_a_spreadsheet_are_the_same(opened) -> None:
    publisher = opened()
    hand(publisher, f"{HEADER}\n{ROW.format(1)}\n")
    account, _ = hand(publisher, orjson.dumps(price()).decode())
    assert account.told_before == 1


def test_all_or_nothing_takes_nothing_where_one_line_is_bad(opened) -> None:
    publisher = opened()
    bad_last = "\n".join([HEADER, *(ROW.format(n) for n in range(5)), "x,,,,"])
    account, bad = hand(publisher, bad_last, whole=True)
    assert (account.taken, account.refused, [one.line for one in bad]) == (0, 1, [7])
    assert waiting(publisher.spool) == []
    account, _ = hand(publisher, bad_last.rpartition("\n")[0], whole=True)
    assert account.taken == 5
    assert len(waiting(publisher.spool)) == 5


def test_all_or_nothing_does_not_fill_a_spool_by_half(opened, monkeypatch) -> None:
    monkeypatch.setenv("LIENTHONG_SPOOL_BYTES", "65536")
    publisher = opened()
    lines = "\n".join(orjson.dumps(price(n % 10, price_vnd=1_000 + n)).decode() for n in range(200))
    account, _ = hand(publisher, lines, whole=True)
    assert account.taken == 0
    assert isinstance(account.stopped, SpoolFull)
    assert publisher.spool.measure().records == 0
    account, _ = hand(publisher, lines)
    assert isinstance(account.stopped, SpoolFull)
    assert account.taken == publisher.spool.measure().records


def test_when_it_happened_is_read_from_its_field(opened) -> None:
    publisher = opened()
    hand(publisher, f"{HEADER}\n{ROW.format(1)}\n", happened_at="observed_at")
    assert waiting(publisher.spool)[0].time.isoformat() == "2026-11-20T08:00:00+07:00"


def test_a_state_that_is_back_is_told_and_one_that_has_not_changed_is_not(opened) -> None:
    publisher = opened("science")
    unit = _unit()
    topic = "science.unit.v1"

    def told(name: str) -> tuple[int, int]:
        account, bad = hand(
            publisher, orjson.dumps({**unit, "name": f"{unit['name']} {name}"}).decode(), topic=topic
        )
        assert bad == []
        return account.taken, account.told_before

    assert [told("Một"), told("Một"), told("Hai"), told("Một")] == [(1, 0), (0, 1), (1, 0), (1, 0)]
    account, _ = hand(publisher, orjson.dumps({"retracted": unit["unit_code"]}).decode(), topic=topic)
    assert account.taken == 1
    events = waiting(publisher.spool, topic)
    assert events[-1].value is None
    assert len({event.id for event in events}) == len(events) == 4


def _unit() -> dict[str, Any]:
    from ruamel.yaml import YAML

    examples = YAML(typ="safe").load((ROOT / "contracts/science/unit.v1.examples.yaml").read_text("utf-8"))
    return orjson.loads(orjson.dumps(examples["valid"][0]["data"]))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    """Type words after `lienthong`; gives exit status, standard output and standard error."""

    def typed(*words: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(words)
        return (ended.value.code or 0, *capsys.readouterr())

    return typed


def test_the_command_tells_what_was_taken_what_was_not_and_what_waits(run, tmp_path) -> None:
    file = tmp_path / "gia.csv"
    file.write_text("\n".join([HEADER, ROW.format(1), ROW.format(2)[:-5] + "dear"]), "utf-8")
    status, out, err = run("publish", TOPIC, str(file))
    assert status == 1
    assert err.startswith("dòng · line 3: /price_vnd: ")
    assert out.startswith("2 dòng · lines: đã nhận · taken 1, đã có · told before 0, bị từ chối · refused 1.")
    assert "2 sự kiện chờ gửi · facts wait in" in out, "the fact, and the notice of the refusal"
    assert "No bus runs on" in out
    status, out, _ = run("publish", TOPIC, str(file), "--json")
    told = orjson.loads(out)
    assert (told["taken"], told["told_before"], told["waiting"]) == (0, 1, 2)
    assert [one["line"] for one in told["refused"]] == [3]
    status, out, _ = run("spool", "trade", "--json")
    assert (status, orjson.loads(out)["waiting"]) == (0, 2)
    assert run("spool", "trade", "--send")[0] == 1


def test_the_command_says_at_once_what_is_wrong_with_topic_file_or_header(run, tmp_path) -> None:
    file = tmp_path / "gia.csv"
    file.write_text("Ngày,Giá\n", "utf-8")
    for words, said in (
        ((TOPIC, str(file)), "Correct the first line of the file; nothing of it was read."),
        ((TOPIC, str(tmp_path / "none.csv")), "none.csv cannot be used: No such file or directory."),
        (("trade.price.v1", str(file)), "trade owns trade.price-observed.v1"),
        (("Trade", str(file)), "one is written <department>.<event>.v<major>"),
    ):
        status, out, err = run("publish", *words)
        assert (status, out) == (1, "")
        assert said in err
    assert run("publish", TOPIC, "-", "--all-or-nothing")[0] == 2


def test_a_file_larger_than_the_spool_waits_for_the_relay_to_make_room(opened, monkeypatch) -> None:
    monkeypatch.setenv("LIENTHONG_SPOOL_BYTES", "65536")
    publisher, over = opened(), threading.Event()
    relay = opened().spool

    def carry() -> None:
        while not over.wait(0.01):
            relay.settle([(row.seq, 0, row.seq) for row in relay.fetch(40)], [])

    lines = "\n".join(orjson.dumps(price(n % 10, price_vnd=1_000 + n)).decode() for n in range(1_000))
    carrier = threading.Thread(target=carry)
    carrier.start()
    try:
        account, _ = hand(publisher, lines, patience=30)
    finally:
        over.set()
        carrier.join()
    assert (account.taken, account.stopped) == (1_000, None)
    assert relay.count_sent()[TOPIC] + relay.measure().records == 1_000


def fences(kind: str) -> list[str]:
    """What the operators' page shows, block by block."""
    page = (ROOT / "docs/operate/spool.md").read_text("utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


def test_the_spreadsheet_of_the_operators_page_comes_to_what_the_page_says(
    run, tmp_path, monkeypatch
) -> None:
    sheet, said = fences("text")
    (command, *_) = fences("sh")
    monkeypatch.chdir(tmp_path)
    Path("gia.csv").write_text(sheet, "utf-8")
    status, out, err = run(*command.split()[1:])
    assert status == 1
    assert [err.strip(), out.splitlines()[0]] == said.splitlines()[:2]


def test_the_sensor_of_the_operators_page_publishes(opened) -> None:
    (program,) = fences("python")
    exec(compile(program, "sensor", "exec"), {})
    (event,) = waiting(opened().spool)
    assert event.key == "00004-01|rice"


def piped() -> subprocess.Popen[bytes]:
    """Start the command on a pipe, as a sensor would."""
    # What this process ignores, as one in the background does, its children would ignore too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(
        [sys.executable, "-m", "lienthong", "publish", TOPIC, "-"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


async def test_a_line_from_a_pipe_is_on_the_disk_before_the_next_one_comes(opened) -> None:
    """A sensor's reading is safe when it was made; and whoever stops the sensor hears no complaint."""
    spool = opened().spool
    with piped() as process:
        assert process.stdin is not None
        assert process.stderr is not None
        for number in (1, 2):
            os.write(process.stdin.fileno(), orjson.dumps(price(number)) + b"\n")
            await until(lambda number=number: spool.measure().records == number)
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 20) == 130
        assert process.stderr.read() == b""
