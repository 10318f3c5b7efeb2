"""`lienthong apply` and `lienthong env` against a real broker and a real PostgreSQL."""

import asyncio
import dataclasses
import random
import shlex
import shutil
import stat
import subprocess
from datetime import date
from string import ascii_lowercase

import asyncpg
import orjson
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from typer import Typer
from typer.testing import CliRunner

from lienthong.cluster.apply import apply_contracts, open_cluster
from lienthong.cluster.connection import Connection, admin_connection, department_connection
from lienthong.commands import apply as commands
from lienthong.embedded.bus import find_java
from lienthong.embedded.jars import fetch_jars
from lienthong.errors import BusNotUsable
from tests.paper import contract, contracts, grant

TODAY = date(2026, 1, 1)


class Town:
    """Two departments that nobody else has heard of: one publishes notes, the other may read them."""

    def __init__(self, data):
        self.data = data
        self.writer, self.reader = ("".join(random.sample(ascii_lowercase, 10)) for _ in range(2))
        self.topic = f"{self.writer}.noted.v1"
        self.contract = contract(self.topic, grants=[grant(self.reader, "filing")], partitions=2)

    def contracts(self, **changes):
        return contracts(
            dataclasses.replace(self.contract, **changes), departments=[self.writer, self.reader]
        )

    def apply(self, **changes):
        return apply_contracts(self.contracts(**changes), self.data, TODAY)

    def read(self, department):
        """Read one record as a department, the way any client would; the broker's refusal is raised."""
        client = department_connection(self.data, department).for_confluent()
        consumer = Consumer(client | {"group.id": f"{department}.filing", "auto.offset.reset": "earliest"})
        try:
            error = consumer.list_topics(self.topic, timeout=10).topics[self.topic].error
            if error is not None:
                raise KafkaException(error)
            consumer.assign([TopicPartition(self.topic, 0, 0)])
            found = consumer.poll(10)
            assert found is not None
            if found.error() is not None:
                raise KafkaException(found.error())
            return found.value()
        finally:
            consumer.close()

    def write(self, department, value=b"{}"):
        heard = []
        producer = Producer(department_connection(self.data, department).for_confluent() | {"log_level": 0})
        producer.produce(self.topic, value, partition=0, on_delivery=lambda error, _: heard.append(error))
        producer.flush(10)
        if heard != [None]:
            raise KafkaException(heard[0] if heard else "no answer")


@pytest.fixture
def town(data):
    return Town(data)


@pytest.fixture
def admin(data):
    """The super user, with a client that is not the one under test."""
    return AdminClient(admin_connection(data).for_confluent())


def test_applied_twice_there_is_nothing_to_do_the_second_time(town):
    assert town.apply().changes
    assert town.apply().changes == ()


def test_the_cluster_is_what_the_plan_said(town, admin):
    town.apply()
    assert len(admin.list_topics(town.topic, timeout=10).topics[town.topic].partitions) == 2
    resource = ConfigResource(ResourceType.TOPIC, town.topic)
    settings = admin.describe_configs([resource])[resource].result(10)
    assert settings["retention.ms"].value == str(90 * 86_400_000)
    assert settings["cleanup.policy"].value == "delete"
    held = admin.describe_user_scram_credentials([town.writer])[town.writer].result(10)
    assert [(str(i.mechanism), i.iterations) for i in held.scram_credential_infos] == [
        ("ScramMechanism.SCRAM_SHA_512", 8192)
    ]


def test_what_a_granted_department_reads_is_what_the_owner_wrote(town):
    town.apply()
    town.write(town.writer, b'{"number_id":"1"}')
    assert town.read(town.reader) == b'{"number_id":"1"}'


def test_a_grant_that_is_taken_back_closes_the_topic_at_once(town):
    town.apply()
    town.write(town.writer)
    town.read(town.reader)
    plan = town.apply(grants=())
    assert {(c.name, c.before, c.after) for c in plan.changes} == {
        (f"{town.reader} → topic {town.topic}", "describe, read", "nothing"),
        # And its owner hears no more of what that reader finds wrong.
        (f"{town.writer} → topic {town.reader}.refusals", "describe, read", "nothing"),
    }
    with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
        town.read(town.reader)


def test_stopped_half_way_it_goes_on_where_it_was(town, admin):
    town.apply()
    (town.data / "secrets" / f"{town.reader}.password").unlink()
    rule = (ResourceType.TOPIC, town.topic, ResourcePatternType.LITERAL, f"User:{town.reader}", "*")
    binding = AclBindingFilter(*rule, AclOperation.READ, AclPermissionType.ALLOW)
    assert len(admin.delete_acls([binding])[binding].result(10)) == 1
    admin.delete_topics([f"{town.writer}.refusals"])[f"{town.writer}.refusals"].result(10)
    assert {change.kind for change in town.apply().changes} == {"access", "database", "topic", "user"}
    town.write(town.writer)
    assert town.read(town.reader) == b"{}"


def test_what_stands_in_no_contract_is_reported_and_kept(town, admin):
    stranger = f"{town.writer}.forgotten"
    admin.create_topics([NewTopic(stranger, 1, 1)])[stranger].result(10)
    plan = town.apply()
    assert [remark.kind for remark in plan.unknown if remark.name == stranger] == ["topic"]
    assert stranger in admin.list_topics(timeout=10).topics


def test_a_right_that_somebody_gave_by_hand_is_taken_away_again(town, admin):
    town.apply()
    rule = (ResourceType.BROKER, "kafka-cluster", ResourcePatternType.LITERAL, f"User:{town.reader}", "*")
    binding = AclBinding(*rule, AclOperation.CREATE, AclPermissionType.ALLOW)
    admin.create_acls([binding])[binding].result(10)
    assert [(c.name, c.before, c.after) for c in town.apply().changes] == [
        (f"{town.reader} → cluster kafka-cluster", "create", "nothing")
    ]


def test_a_retention_that_somebody_changed_is_put_right(town, admin):
    town.apply()
    longer = ConfigEntry("retention.ms", "-1", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, town.topic, incremental_configs=[longer])
    admin.incremental_alter_configs([resource])[resource].result(10)
    assert [(c.before, c.after) for c in town.apply().changes] == [("retention.ms -1", "retention.ms 90 d")]


def test_partitions_are_added_in_place_and_never_taken_away(town, admin):
    town.apply()
    town.write(town.writer, b'{"number_id":"1"}')
    assert [(c.kind, c.before, c.after) for c in town.apply(partitions=4).changes] == [
        ("partitions", "2", "4")
    ]
    assert len(admin.list_topics(town.topic, timeout=10).topics[town.topic].partitions) == 4
    assert town.read(town.reader) == b'{"number_id":"1"}'
    fewer = town.apply(partitions=3)
    assert (fewer.changes, len(fewer.impossible)) == ((), 1)


def test_passwords_are_kept_where_only_their_owner_reads_them(town):
    town.apply()
    for department in (town.writer, town.reader):
        file = town.data / "secrets" / f"{department}.password"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(file.read_text()) >= 32


async def test_a_department_enters_its_own_database_and_no_other(town):
    await asyncio.to_thread(town.apply)
    own = database_of(town, town.writer)
    db = await asyncpg.connect(**own)
    await db.execute("CREATE TABLE note (number_id text)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.execute("CREATE DATABASE attic")
    assert (
        await db.fetchval("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
        is False
    )
    await db.close()
    for other in (town.reader, "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(**own | {"database": other})


async def test_the_database_takes_the_departments_own_password_only(town):
    await asyncio.to_thread(town.apply)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(**database_of(town, town.writer) | {"password": "wrong"})


def database_of(town, department):
    place = orjson.loads((town.data / "bus.json").read_bytes())["postgres"]
    secret = (town.data / "secrets" / f"{department}.password").read_text()
    return {
        "host": place["host"],
        "port": place["port"],
        "user": department,
        "password": secret,
        "database": department,
    }


def opened(data, connection=None):
    with open_cluster(data, connection, within=1.0) as cluster:
        cluster.plan(contracts(), TODAY)


@pytest.fixture
def copied(data, tmp_path):
    """Another folder that says it is the running bus's, to be falsified."""
    shutil.copytree(data / "secrets", tmp_path / "secrets")
    bus = orjson.loads((data / "bus.json").read_bytes())

    def describe(**changes):
        (tmp_path / "bus.json").write_bytes(orjson.dumps(bus | changes))
        return tmp_path

    return describe


def test_without_a_bus_it_says_how_to_start_one(tmp_path):
    with pytest.raises(BusNotUsable, match="lienthong up"):
        opened(tmp_path)


def test_a_bus_that_died_is_told_from_one_that_never_was(copied):
    with pytest.raises(BusNotUsable, match=r"stopped without saying so.*lienthong up"):
        opened(copied(pid=2**22 + 1))


def test_a_cluster_out_of_reach_is_named_with_its_address(copied):
    with pytest.raises(BusNotUsable, match=r"127\.0\.0\.1:1 did not answer within 1 s"):
        opened(copied(bootstrap_servers="127.0.0.1:1"))


def test_a_wrong_password_is_said_at_once_and_not_repeated(copied):
    folder = copied()
    (folder / "secrets" / "kafka-admin.password").write_text("not-the-password")
    with pytest.raises(BusNotUsable, match="does not let admin in: wrong user or password") as refusal:
        opened(folder)
    assert "not-the-password" not in str(refusal.value)


def test_a_wrong_database_password_is_told_from_a_wrong_kafka_password(copied):
    folder = copied()
    (folder / "secrets" / "postgres.password").write_text("not-the-password")
    with pytest.raises(BusNotUsable, match=r"PostgreSQL at .* does not let postgres in"):
        opened(folder)


def test_a_database_out_of_reach_is_named_with_its_address(copied):
    gone = {"host": "127.0.0.1", "port": 1, "superuser": "postgres"}
    with pytest.raises(BusNotUsable, match=r"PostgreSQL at 127\.0\.0\.1:1 does not answer"):
        opened(copied(postgres=gone))


def test_another_cluster_on_the_same_ports_is_left_alone(copied):
    with pytest.raises(BusNotUsable, match="belongs to cluster AAAAAAAAAAAAAAAAAAAAAA"):
        opened(copied(cluster_id="AAAAAAAAAAAAAAAAAAAAAA"))


def test_a_secret_that_is_gone_or_empty_is_named(copied):
    folder = copied()
    (folder / "secrets" / "kafka-admin.password").write_text("")
    with pytest.raises(BusNotUsable, match=r"kafka-admin\.password is empty"):
        opened(folder)
    (folder / "secrets" / "kafka-admin.password").unlink()
    with pytest.raises(BusNotUsable, match=r"kafka-admin\.password cannot be read"):
        opened(folder)


def test_a_department_cannot_apply(town):
    town.apply()
    with pytest.raises(BusNotUsable, match="Use the name of a super user"):
        opened(town.data, department_connection(town.data, town.writer))


def test_a_cluster_that_is_not_embedded_gets_topics_and_users_but_no_database(town, tmp_path):
    connection: Connection = admin_connection(town.data)
    with open_cluster(tmp_path, connection) as cluster:
        kinds = {change.kind for change in cluster.plan(town.contracts(), TODAY).changes}
    assert kinds == {"access", "quota", "topic", "user"}


@pytest.fixture
def run(data, repository, monkeypatch):
    """Run a command as a person would, for the contracts of this repository."""
    monkeypatch.setenv("LIENTHONG_ROOT", str(repository))
    monkeypatch.setenv("COLUMNS", "200")
    app = Typer()
    commands.register(app)

    def run(*words, **more):
        return CliRunner().invoke(app, [*words, "--data", str(data)], **more)

    return run


def test_the_command_shows_its_plan_before_it_does_anything(run, data):
    run("apply", "--yes")
    (data / "secrets" / "health.password").unlink()
    shown = run("apply")
    assert shown.exit_code == 1
    assert "a new password" in shown.output
    assert "Run it with --yes" in shown.output
    assert not (data / "secrets" / "health.password").exists()
    assert orjson.loads(run("apply", "--json").output)["applied"] is False
    done = orjson.loads(run("apply", "--json", "--yes").output)
    assert (done["applied"], {change["name"] for change in done["changes"]}) == (True, {"health"})
    again = run("apply")
    assert (again.exit_code, "Nothing to do" in again.output) == (0, True)


def test_another_cluster_needs_a_password_file_and_a_known_protocol(run, tmp_path):
    words = ("apply", "--bootstrap-servers", "127.0.0.1:1")
    assert "--password-file" in str(run(*words).exception)
    (tmp_path / "secret").write_text("x")
    more = ("--password-file", str(tmp_path / "secret"), "--security-protocol", "PLAINTEXT")
    assert "SASL_SSL" in str(run(*words, *more).exception)


def test_env_gives_a_shell_what_a_service_needs(run, town):
    town.apply()
    lines = run("env", town.writer).output.splitlines()
    told = dict(shlex.split(line)[1].split("=", 1) for line in lines)
    assert told == orjson.loads(run("env", town.writer, "--json").output)
    assert told["LIENTHONG_USERNAME"] == town.writer
    assert all(line.startswith("export LIENTHONG_") for line in lines)


def test_env_gives_kcat_a_line_with_which_a_granted_department_reads(run, town):
    town.apply()
    town.write(town.writer)
    words = shlex.split(run("env", town.reader, "--format", "kcat", "--topic", town.topic).output)
    properties = dict(words[at + 1].split("=", 1) for at, word in enumerate(words) if word == "-X")
    consumer = Consumer(
        {"bootstrap.servers": words[words.index("-b") + 1], "group.id": f"{town.reader}.filing", **properties}
    )
    consumer.assign([TopicPartition(words[words.index("-t") + 1], 0, 0)])
    assert consumer.poll(10).value() == b"{}"
    consumer.close()


def test_env_gives_kafkas_own_console_consumer_a_file_with_which_it_reads(run, town, tmp_path):
    town.apply()
    town.write(town.writer, "Trẻ sơ sinh".encode())
    properties = tmp_path / "reader.properties"
    properties.write_text(run("env", town.reader, "--format", "java").output)
    jars = ":".join(map(str, fetch_jars()))
    tool = [
        find_java(),
        "-XX:TieredStopAtLevel=1",
        "-cp",
        jars,
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
    ]
    servers = department_connection(town.data, town.reader).bootstrap_servers
    words = ["--bootstrap-server", servers, "--topic", town.topic, "--from-beginning", "--max-messages", "1"]
    read = subprocess.run(
        [*tool, *words, "--command-config", properties, "--timeout-ms", "20000"],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert read.stdout.decode().strip() == "Trẻ sơ sinh", read.stderr.decode()


def test_env_lists_topics_that_the_department_may_read(run):
    run("apply", "--yes")
    lines = run("env", "justice", "--format", "kcat").output.splitlines()
    topics = {words[words.index("-t") + 1] for words in map(shlex.split, lines)}
    assert {"health.birth-notified.v1", "justice.birth-registered.v1"} <= topics


@pytest.mark.parametrize("name", ["heatlh", "postgres", "kafka-admin", "../secrets/health", ""])
def test_env_knows_departments_only(run, town, name):
    town.apply()
    refusal = str(run("env", name).exception)
    assert town.writer in refusal
    assert "lienthong apply" in refusal
