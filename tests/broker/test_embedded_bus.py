"""The embedded bus is closed from its first start, and loses nothing acknowledged in any kill."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import psutil
import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from lienthong.embedded import Bus, find_bus
from lienthong.embedded.ports import choose_ports, note_ports, usual_ports
from lienthong.embedded.postgres import programs
from lienthong.errors import BusNotUsable
from lienthong.testing import until

REPOSITORY = Path(__file__).parents[2]


def secret(data: Path, name: str) -> str:
    return (data / "secrets" / f"{name}.password").read_text()


def client(description: dict[str, Any], data: Path, **more: Any) -> dict[str, Any]:
    """What an ordinary Kafka client of the super user is told."""
    return {
        "bootstrap.servers": description["bootstrap_servers"],
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "admin",
        "sasl.password": secret(data, "kafka-admin"),
        "log_level": 0,
        **more,
    }


def make_topic(description: dict[str, Any], data: Path, name: str, copies: int = 1) -> None:
    admin = AdminClient(client(description, data))
    admin.create_topics([NewTopic(name, 1, copies)])[name].result(20)


def write(description: dict[str, Any], data: Path, topic: str, values: list[str]) -> None:
    """Write and wait for every acknowledgement, through whatever happens meanwhile."""
    failed: list[Any] = []
    producer = Producer(client(description, data, **{"enable.idempotence": True}))
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: error and failed.append(error))
    assert producer.flush(60) == 0
    assert failed == []


def read(description: dict[str, Any], data: Path, topic: str) -> list[str]:
    """Read a topic from its beginning to its end."""
    consumer = Consumer(
        client(
            description,
            data,
            **{"group.id": "reader", "auto.offset.reset": "earliest", "enable.partition.eof": True},
        )
    )
    consumer.subscribe([topic])
    found: list[str] = []
    try:
        while True:
            record = consumer.poll(60)
            assert record is not None, f"no end of {topic} within 60 s"
            if record.error() is None:
                found.append(record.value().decode())
            elif record.error().name() == "_PARTITION_EOF":
                return found
    finally:
        consumer.close()


async def connect(description: dict[str, Any], password: str) -> asyncpg.Connection:
    postgres = description["postgres"]
    return await asyncpg.connect(
        host=postgres["host"],
        port=postgres["port"],
        user=postgres["superuser"],
        database="postgres",
        password=password,
        timeout=5,
    )


async def connected(description: dict[str, Any], data: Path) -> asyncpg.Connection:
    """Connect to the database as soon as it is there (again)."""

    async def attempt() -> asyncpg.Connection | None:
        try:
            return await connect(description, secret(data, "postgres"))
        except (OSError, asyncpg.CannotConnectNowError):
            return None

    return await until(attempt, within=60)


async def note(description: dict[str, Any], data: Path, word: str) -> None:
    connection = await connected(description, data)
    await connection.execute("CREATE TABLE IF NOT EXISTS noted (word text)")
    await connection.execute("INSERT INTO noted VALUES ($1)", word)
    await connection.close()


async def noted(description: dict[str, Any], data: Path) -> list[str]:
    connection = await connected(description, data)
    rows = await connection.fetch("SELECT word FROM noted")
    await connection.close()
    return [row["word"] for row in rows]


def replaced(bus: Bus, name: str, killed: int) -> Callable[[], bool]:
    return lambda: bus.children.get(name, killed) != killed


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "lienthong", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def keep_off_usual_ports(data: Path) -> None:
    """Note ports as if by an earlier start: another bus on this machine may want the usual ones meanwhile."""
    data.mkdir()
    start = random.randrange(21_000, 31_000, 100)
    wanted = {name: start + number * 10 for number, name in enumerate(usual_ports(1))}
    note_ports(data / "ports.json", choose_ports({}, wanted, reach=10))


@contextmanager
def started(data: Path) -> Iterator["subprocess.Popen[str]"]:
    """A bus as a person starts it, in a process of its own."""
    command = [sys.executable, "-m", "lienthong", "up", "--data", str(data), "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=pipe, stderr=pipe, text=True) as up:
        try:
            yield up
        finally:
            up.terminate()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own") / "Liên Thông, hai"


@pytest.fixture(scope="module")
def bus(data: Path) -> Iterator[Bus]:
    with Bus(data) as bus:
        yield bus


async def test_the_database_refuses_a_wrong_password(bus: Bus) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(bus.description, "wrong")


@pytest.mark.parametrize(
    "changes", [{"sasl.password": "wrong"}, {"security.protocol": "PLAINTEXT"}, {"sasl.mechanism": "PLAIN"}]
)
def test_the_broker_refuses_who_does_not_know_its_password(
    bus: Bus, data: Path, changes: dict[str, str]
) -> None:
    intruder = AdminClient({**client(bus.description, data), **changes})
    with pytest.raises(KafkaException):
        intruder.list_topics(timeout=1)


def test_the_controllers_do_not_take_a_client_without_their_secret(bus: Bus, data: Path) -> None:
    ports = orjson.loads((data / "ports.json").read_bytes())
    changes = {"bootstrap.servers": f"127.0.0.1:{ports['controller-1']}", "sasl.mechanism": "PLAIN"}
    intruder = AdminClient({**client(bus.description, data), **changes})
    with pytest.raises(KafkaException):
        intruder.list_topics(timeout=1)


def test_a_topic_that_nobody_made_is_not_made_by_writing_to_it(bus: Bus, data: Path) -> None:
    producer = Producer(client(bus.description, data, **{"message.timeout.ms": 1500}))
    failed: list[Any] = []
    producer.produce("nobody.made.v1", b"x", on_delivery=lambda error, _: failed.append(error))
    producer.flush(10)
    assert [error is not None for error in failed] == [True]
    assert "nobody.made.v1" not in AdminClient(client(bus.description, data)).list_topics(timeout=5).topics


def test_everything_listens_on_this_machine_only(bus: Bus) -> None:
    heard = {
        connection.laddr.ip
        for pid in bus.children.values()
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.removeprefix("::ffff:") for address in heard} == {"127.0.0.1"}


def test_no_secret_is_readable_by_others_or_seen_on_a_command_line(bus: Bus, data: Path) -> None:
    secrets = [file.read_text() for file in (data / "secrets").iterdir()]
    assert len(secrets) == 3
    lines = [" ".join(psutil.Process(pid).cmdline()) for pid in bus.children.values()]
    assert [line for line in lines if any(word in line for word in secrets)] == []
    holders = [
        file
        for file in data.rglob("*")
        if file.is_file() and any(word.encode() in file.read_bytes() for word in secrets)
    ]
    assert [file for file in holders if file.stat().st_mode & 0o077] == []
    assert data / "kafka-1" / "server.properties" in holders


def test_a_second_start_on_the_same_folder_says_where_the_first_one_is(bus: Bus, data: Path) -> None:
    with pytest.raises(BusNotUsable) as refusal:
        Bus(data).start()
    assert f"process {os.getpid()}, Kafka at {bus.description['bootstrap_servers']}" in str(refusal.value)
    assert "lienthong down" in str(refusal.value)
    assert find_bus(data) == bus.description


async def test_a_broker_killed_in_the_middle_of_writing_comes_back_with_all_it_acknowledged(
    bus: Bus, data: Path
) -> None:
    make_topic(bus.description, data, "killed.broker")
    before, after = [f"before-{n}" for n in range(500)], [f"after-{n}" for n in range(500)]
    write(bus.description, data, "killed.broker", before)
    killed = bus.children["kafka-1"]
    os.kill(killed, signal.SIGKILL)
    write(bus.description, data, "killed.broker", after)
    assert replaced(bus, "kafka-1", killed)()
    assert read(bus.description, data, "killed.broker") == before + after


async def test_a_killed_database_comes_back_with_all_it_committed(bus: Bus, data: Path) -> None:
    await note(bus.description, data, "committed")
    killed = bus.children["postgres"]
    os.kill(killed, signal.SIGKILL)
    await until(replaced(bus, "postgres", killed), within=30)
    assert await noted(bus.description, data) == ["committed"]


def test_the_command_says_what_runs_where_and_where_the_logs_are(bus: Bus, data: Path) -> None:
    found = orjson.loads(run("status", "--data", str(data), "--json").stdout)
    assert found["state"] == "running"
    assert found["bus"] == bus.description
    assert {child["name"]: child["pid"] for child in found["children"]} == bus.children
    assert Path(found["logs"]["kafka"]).stat().st_size > 0
    assert Path(found["logs"]["postgres"]).stat().st_size > 0


async def test_a_tree_killed_whole_leaves_no_orphan_and_loses_nothing(tmp_path: Path) -> None:
    data = tmp_path / "bus"
    keep_off_usual_ports(data)
    with started(data) as up:
        first = await until(lambda: find_bus(data), within=120)
        make_topic(first, data, "killed.tree")
        write(first, data, "killed.tree", ["one", "two"])
        await note(first, data, "kept")
        children = [child["pid"] for child in orjson.loads((data / "children.json").read_bytes()).values()]
        for pid in (*children, up.pid):
            os.kill(pid, signal.SIGKILL)
    await until(lambda: not any(psutil.pid_exists(pid) for pid in children), within=60)
    assert run("status", "--data", str(data)).returncode == 1
    # Meanwhile another program takes the database's port.
    taken = first["postgres"]["port"]
    with socket.create_server(("127.0.0.1", taken)), started(data) as up:
        second = await until(lambda: find_bus(data), within=120)
        assert second["bootstrap_servers"] == first["bootstrap_servers"]
        assert second["postgres"]["port"] != taken
        assert read(second, data, "killed.tree") == ["one", "two"]
        assert await noted(second, data) == ["kept"]
        refused = run("up", "--data", str(data))
        assert refused.returncode == 1
        assert f"A bus is already running on {data}: process {up.pid}" in refused.stderr
        assert run("down", "--data", str(data)).stdout == "The bus has stopped; its data stays.\n"
        said, told = up.communicate(timeout=60)
    assert up.returncode == 0
    assert orjson.loads(said) == second
    assert f"Port {taken} of postgres is taken by another program" in told
    assert run("down", "--data", str(data)).stdout == f"No bus runs on {data}.\n"


def test_a_broker_that_cannot_start_is_told_with_its_reason_and_nothing_stays_behind(tmp_path: Path) -> None:
    records = tmp_path / "kafka-1" / "records"
    records.mkdir(parents=True)
    (records / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=x\n")
    bus = Bus(tmp_path)
    with pytest.raises(BusNotUsable, match=r"kafka-1 ended while it was starting: .*Its log says more"):
        bus.start()
    assert bus.children == {}
    assert find_bus(tmp_path) is None


def test_the_programs_are_those_of_postgresql_18() -> None:
    said = subprocess.run([programs() / "postgres", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("postgres (PostgreSQL) 18.")
