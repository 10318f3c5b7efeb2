"""Every department × topic or group × operation, tried with a plain Kafka client that is not our library.

What is expected is read from the contracts here, not from what `apply` computes: who owns a topic may write
and read it, who holds a grant may read it, its owner may read what they refuse of it, and all else is refused
by the broker itself. No probe leaves a record or a change: a write is longer than any topic takes, which the
broker says only to those who may write.
"""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from lienthong.cluster.apply import apply_contracts
from lienthong.contracts import Contracts, load_contracts

TODAY = date(2026, 1, 1)
WITHIN = 10.0
TOO_LONG = bytes(1_200_000)
TOO_LONG_A_LETTER = bytes(9_600_000)
"""More than any topic takes: the broker looks at rights first, and at length before it writes."""

ALLOWED = "allowed"
TOPIC, GROUP, CLUSTER = (
    "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
)
Answers = dict[tuple[str, str], str]
"""By (operation, target): `allowed`, or the name of the broker's error code."""


@dataclass
class City:
    """What the contracts say, in the few words this test needs."""

    departments: list[str]
    topics: dict[str, str]
    """Every topic and the department that owns it."""
    readers: dict[str, set[str]]
    groups: dict[str, str]
    bootstrap_servers: str
    passwords: dict[str, str] = field(repr=False)

    def may_write(self, department: str, topic: str) -> bool:
        return self.topics[topic] == department

    def may_read(self, department: str, topic: str) -> bool:
        return self.topics[topic] == department or department in self.readers.get(topic, set())

    def client(self, department: str, password: str | None = None) -> dict[str, Any]:
        """The properties of any librdkafka client, as somebody."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": department,
            "sasl.password": self.passwords[department] if password is None else password,
            "log_level": 0,
        }


@pytest.fixture(scope="module")
def city(data: Path, repository: Path) -> City:
    contracts = load_contracts(repository)
    apply_contracts(contracts, data, TODAY)
    return read_city(contracts, data)


def read_city(contracts: Contracts, data: Path) -> City:
    departments = sorted(contracts.departments)
    grants = [(str(c.topic), g) for c in contracts.contracts.values() for g in c.grants if g.until >= TODAY]
    readers: dict[str, set[str]] = {}
    for topic, grant in grants:
        readers.setdefault(topic, set()).add(grant.department)
        # And the owner hears what its reader finds wrong.
        readers.setdefault(f"{grant.department}.refusals", set()).add(topic.partition(".")[0])
    topics = {str(c.topic): c.topic.department for c in contracts.contracts.values()}
    topics |= {f"{department}.refusals": department for department in departments}
    topics |= {f"{g.department}.{g.purpose}.dlt": g.department for _, g in grants}
    groups = {f"{g.department}.{g.purpose}": g.department for _, g in grants}
    groups |= {f"{department}.probe": department for department in departments}
    return City(
        departments,
        topics,
        readers,
        groups,
        orjson.loads((data / "bus.json").read_bytes())["bootstrap_servers"],
        {name: (data / "secrets" / f"{name}.password").read_text() for name in departments},
    )


@pytest.fixture(scope="module")
def answers(city: City) -> dict[str, Answers]:
    """Try everything, each department on a thread of its own."""
    with ThreadPoolExecutor(len(city.departments)) as threads:
        tried = threads.map(lambda department: try_everything(city, department), city.departments)
        return dict(zip(city.departments, tried, strict=True))


def try_everything(city: City, department: str) -> Answers:
    admin = AdminClient(city.client(department))
    return {
        **try_writes(city, department),
        **try_reads(city, department),
        **try_groups(city, department, admin),
        **try_changes(city, admin),
        **try_power(city, department, admin),
    }


def try_writes(city: City, department: str) -> Answers:
    producer = Producer(
        city.client(department) | {"message.max.bytes": 12_000_000, "message.timeout.ms": 10_000}
    )
    heard: Answers = {}
    for topic in city.topics:

        def hear(error: KafkaError | None, _: object, topic: str = topic) -> None:
            assert error is not None, f"{topic} has taken what no topic should take"
            heard["write", topic] = ALLOWED if error.code() == KafkaError.MSG_SIZE_TOO_LARGE else error.name()

        try:
            producer.produce(
                topic,
                TOO_LONG_A_LETTER if topic.endswith(".dlt") else TOO_LONG,
                key=b"k",
                partition=0,
                on_delivery=hear,
            )
        except KafkaException as refused:
            # The client has heard the refusal already, from the topic's metadata.
            hear(refused.args[0], None)
    producer.flush(WITHIN)
    return heard


def try_reads(city: City, department: str) -> Answers:
    settings = {"group.id": f"{department}.unused", "enable.partition.eof": True, "enable.auto.commit": False}
    consumer = Consumer(city.client(department) | settings)
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING) for topic in city.topics])
    heard: Answers = {}
    for topic in city.topics:
        # Of a topic it may not even see, a consumer waits and says nothing: so the broker is asked first.
        error = consumer.list_topics(topic, timeout=WITHIN).topics[topic].error
        if error is not None:
            heard["read", topic] = error.name()
    deadline = time.monotonic() + WITHIN
    while len(heard) < len(city.topics) and time.monotonic() < deadline:
        for record in consumer.consume(100, 0.2):
            error = record.error()
            fine = error is None or error.code() == KafkaError._PARTITION_EOF
            heard.setdefault(("read", record.topic()), ALLOWED if fine else error.name())
    consumer.close()
    return heard


def try_groups(city: City, department: str, admin: AdminClient) -> Answers:
    """Look at, take the place of, and delete the consumer groups of everybody."""
    position = [TopicPartition(f"{department}.refusals", 0, 0)]
    asked: list[tuple[str, str, Future[Any]]] = []
    for group, future in admin.describe_consumer_groups(list(city.groups), request_timeout=WITHIN).items():
        asked.append(("describe group", group, future))
    for group in city.groups:
        looked_at = [ConsumerGroupTopicPartitions(group, [TopicPartition(f"{department}.refusals", 0)])]
        asked.append(("look at offsets", group, admin.list_consumer_group_offsets(looked_at)[group]))
    for group in city.groups:
        # A commit by its owner would move a group that is in use: there the owner tries none.
        if group == f"{department}.probe" or city.groups[group] != department:
            wanted = [ConsumerGroupTopicPartitions(group, position)]
            asked.append(("commit offsets", group, admin.alter_consumer_group_offsets(wanted)[group]))
    heard = {(operation, group): answer(future) for operation, group, future in asked}
    for group, future in admin.delete_consumer_groups(list(city.groups), request_timeout=WITHIN).items():
        heard["delete group", group] = answer(future)
    return heard


def try_changes(city: City, admin: AdminClient) -> Answers:
    """Try what only the platform may: to make, alter and remove topics."""
    topics = list(city.topics)
    new = [
        NewTopic(f"{prefix}nothing-here.v1", 1, 1) for prefix in ("", *(f"{d}." for d in city.departments))
    ]
    longer = [ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)]
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    altered = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=longer) for topic in topics]
    tried: dict[str, dict[Any, Future[Any]]] = {
        "create": admin.create_topics(new, validate_only=True),
        "add partitions": admin.create_partitions(
            [NewPartitions(topic, 24) for topic in topics], validate_only=True
        ),
        "alter settings": admin.incremental_alter_configs(altered, validate_only=True),
        "look at settings": admin.describe_configs(resources),
        "delete": admin.delete_topics(topics),
        "delete records": admin.delete_records([TopicPartition(topic, 0, 0) for topic in topics]),
    }
    return {
        (operation, getattr(target, "name", None) or getattr(target, "topic", None) or target): answer(future)
        for operation, futures in tried.items()
        for target, future in futures.items()
    }


def try_power(city: City, department: str, admin: AdminClient) -> Answers:
    """Try to become more than one is."""
    victim = next(name for name in city.departments if name != department)
    rule = (ResourceType.TOPIC, f"{victim}.", ResourcePatternType.PREFIXED, f"User:{department}", "*")
    binding = AclBinding(*rule, AclOperation.ALL, AclPermissionType.ALLOW)
    anything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    password = UserScramCredentialUpsertion(
        victim, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192), b"mine"
    )
    broker = ConfigResource(
        ResourceType.BROKER,
        "1",
        incremental_configs=[
            ConfigEntry("log.retention.ms", "1", incremental_operation=AlterConfigOpType.SET)
        ],
    )
    asked: dict[str, Future[Any]] = {
        "grant oneself": admin.create_acls([binding])[binding],
        "remove grants": admin.delete_acls([anything])[anything],
        "take a password": admin.alter_user_scram_credentials([password])[victim],
        "alter a broker": next(iter(admin.incremental_alter_configs([broker], validate_only=True).values())),
    }
    heard = {(operation, "cluster"): answer(future) for operation, future in asked.items()}
    # librdkafka drops the error of this answer: what counts is that nothing is shown.
    heard["look at grants", "cluster"] = ALLOWED if admin.describe_acls(anything).result(WITHIN) else CLUSTER
    quiet = logging.getLogger("librdkafka")
    quiet.addHandler(logging.NullHandler())
    producer = Producer(city.client(department) | {"transactional.id": f"{department}.probe"}, logger=quiet)
    heard["write in transactions", "cluster"] = answered(lambda: producer.init_transactions(WITHIN))
    return heard


def answer(future: Future[Any]) -> str:
    return answered(lambda: future.result(WITHIN))


def answered(act: Callable[[], Any]) -> str:
    try:
        act()
    except KafkaException as error:
        return str(error.args[0].name())
    return ALLOWED


def differences(
    city: City, answers: dict[str, Answers], operation: str, expected: Callable[[str, str], str]
) -> Iterator[str]:
    """Name every answer to an operation that is not the expected one."""
    for department in city.departments:
        targets = {target for done, target in answers[department] if done == operation}
        for target in targets:
            heard, wanted = answers[department][operation, target], expected(department, target)
            if heard != wanted:
                yield f"{department}: {operation} {target}: {heard}, not {wanted}"


def test_each_topic_takes_writes_from_its_owner_and_from_nobody_else(
    city: City, answers: dict[str, Answers]
) -> None:
    assert asked(answers, "write") == len(city.departments) * len(city.topics)
    assert not list(
        differences(city, answers, "write", lambda d, t: ALLOWED if city.may_write(d, t) else TOPIC)
    )


def test_each_topic_is_read_by_its_owner_and_by_whom_a_contract_names(
    city: City, answers: dict[str, Answers]
) -> None:
    assert asked(answers, "read") == len(city.departments) * len(city.topics)
    assert not list(
        differences(city, answers, "read", lambda d, t: ALLOWED if city.may_read(d, t) else TOPIC)
    )


@pytest.mark.parametrize("operation", ["describe group", "look at offsets", "commit offsets"])
def test_a_consumer_group_is_its_departments_own(
    city: City, answers: dict[str, Answers], operation: str
) -> None:
    assert asked(answers, operation) >= len(city.departments) * (len(city.departments) - 1)
    assert not list(
        differences(city, answers, operation, lambda d, g: ALLOWED if city.groups[g] == d else GROUP)
    )


def test_no_department_deletes_a_group_not_even_its_own(city: City, answers: dict[str, Answers]) -> None:
    assert asked(answers, "delete group") == len(city.departments) * len(city.groups)
    assert not list(differences(city, answers, "delete group", lambda _, __: GROUP))


@pytest.mark.parametrize(
    "operation",
    ["create", "add partitions", "alter settings", "look at settings", "delete", "delete records"],
)
def test_topics_are_made_altered_and_removed_by_the_platform_only(
    city: City, answers: dict[str, Answers], operation: str
) -> None:
    assert asked(answers, operation) >= len(city.departments) ** 2
    assert not list(differences(city, answers, operation, lambda _, __: TOPIC))


def test_no_department_makes_itself_more_powerful(city: City, answers: dict[str, Answers]) -> None:
    powers = {operation for operation, target in answers[city.departments[0]] if target == "cluster"}
    assert len(powers) == 6
    transactions = "write in transactions"
    assert not [
        difference
        for power in powers
        for difference in differences(
            city,
            answers,
            power,
            lambda _, __, power=power: (
                "TRANSACTIONAL_ID_AUTHORIZATION_FAILED" if power == transactions else CLUSTER
            ),
        )
    ]


def test_each_department_sees_only_the_topics_it_may_use(city: City) -> None:
    for department in city.departments:
        seen = set(AdminClient(city.client(department)).list_topics(timeout=WITHIN).topics)
        assert seen == {topic for topic in city.topics if city.may_read(department, topic)}, department


def strangers(city: City) -> dict[str, dict[str, Any]]:
    health, justice = "health", "justice"
    return {
        "a wrong password": city.client(health, "wrong"),
        "the password of another department": city.client(health, city.passwords[justice]),
        "an almost right password": city.client(health, city.passwords[health][:-1]),
        "a user that does not exist": city.client(health) | {"sasl.username": "nobody"},
        "a mechanism that is off": city.client(health) | {"sasl.mechanism": "PLAIN"},
        "no authentication": {
            name: value
            for name, value in city.client(health).items()
            if not name.startswith("sasl.") and name != "security.protocol"
        },
    }


def test_whoever_cannot_prove_who_he_is_does_not_get_in(city: City) -> None:
    def knock(settings: dict[str, Any]) -> str:
        heard: list[str] = []
        producer = Producer(settings | {"error_cb": lambda error: heard.append(error.name())})
        deadline = time.monotonic() + WITHIN
        while not heard and time.monotonic() < deadline:
            producer.poll(0.05)
        return heard[0] if heard else "let in"

    with ThreadPoolExecutor(6) as threads:
        heard = dict(zip(strangers(city), threads.map(knock, strangers(city).values()), strict=True))
    expected = dict.fromkeys(heard, "_AUTHENTICATION")
    assert heard == expected | {"no authentication": heard["no authentication"]}
    assert heard["no authentication"] in {"_TRANSPORT", "_ALL_BROKERS_DOWN"}


def asked(answers: dict[str, Answers], operation: str) -> int:
    return sum(done == operation for heard in answers.values() for done, _ in heard)
