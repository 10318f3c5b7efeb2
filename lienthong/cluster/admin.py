"""Ask a cluster what it holds, and change it: kafka-python's admin client in the words of the contracts.

kafka-python is the one Python client that covers topics, settings, ACLs, SCRAM and client quotas. It blocks:
call it from a thread where an event loop runs.
"""

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kafka import admin as kafka_admin
from kafka import errors as kafka_errors
from kafka import structs as kafka_structs
from kafka.protocol.admin import client_quotas as kafka_quotas

from lienthong.cluster.connection import Connection
from lienthong.cluster.plan import ITERATIONS
from lienthong.cluster.state import Access, Standing, TopicShape
from lienthong.errors import BusNotUsable
from lienthong.login import STAND_IN_MECHANISM, mechanism_of

# kafka-python carries no types: from here on its modules are Any, and this module's signatures are the truth.
_admin: Any = kafka_admin
_errors: Any = kafka_errors
_quotas: Any = kafka_quotas
_TopicPartition: Any = kafka_structs.TopicPartition

REACH_SECONDS: Final = 10.0
"""How long to try before a cluster counts as out of reach."""


class Admin:
    """A super user's connection to a cluster."""

    def __init__(self, client: Any, cluster_id: str, brokers: int) -> None:
        self._client = client
        self.cluster_id = cluster_id
        self.brokers = brokers
        """Brokers that are in service at this moment."""

    def fetch_topics(self) -> dict[str, TopicShape]:
        """Fetch every topic that is not the broker's own, with its settings."""
        shapes = {
            topic["name"]: topic["partitions"]
            for topic in self._client.describe_topics()
            if not topic["is_internal"] and not topic["name"].startswith("__")
        }
        resources = [_admin.ConfigResource(_admin.ConfigResourceType.TOPIC, name) for name in shapes]
        settings = (
            self._client.describe_configs(resources, config_filter="all").get("topic", {}) if shapes else {}
        )
        return {
            name: TopicShape(
                partitions=len(partitions),
                replication=min(len(partition["replica_nodes"]) for partition in partitions),
                settings={key: found["value"] for key, found in settings.get(name, {}).items()},
                own=frozenset(
                    key
                    for key, found in settings.get(name, {}).items()
                    if found["config_source"] == "DYNAMIC_TOPIC_CONFIG"
                ),
            )
            for name, partitions in sorted(shapes.items())
        }

    def fetch_users(self) -> dict[str, dict[str, int]]:
        """Fetch who may log in by SCRAM: by user, the iterations of each mechanism."""
        return {
            user: {
                held["mechanism"].name.replace("_", "-"): held["iterations"]
                for held in found["credential_infos"]
            }
            for user, found in self._client.describe_user_scram_credentials().items()
        }

    def fetch_access(self) -> frozenset[Access]:
        """Fetch every access rule."""
        everything = _admin.ResourcePatternFilter(
            _admin.ResourceType.ANY, None, _admin.ACLResourcePatternType.ANY
        )
        rules, _ = self._client.describe_acls(
            _admin.ACLFilter(None, None, _admin.ACLOperation.ANY, _admin.ACLPermissionType.ANY, everything)
        )
        return frozenset(
            Access(
                principal=rule.principal,
                resource=rule.resource_pattern.resource_type.name.lower(),
                name=rule.resource_pattern.resource_name,
                pattern=rule.resource_pattern.pattern_type.name.lower(),
                operation=rule.operation.name.lower(),
                permission=rule.permission_type.name.lower(),
                host=rule.host,
            )
            for rule in rules
        )

    def fetch_quotas(self) -> dict[str, dict[str, float]]:
        """Fetch the quotas of single users; those of client ids and of everybody are not ours."""
        component = _quotas.DescribeClientQuotasRequest.ComponentData(
            entity_type="user", match_type=2, match=None
        )
        answer = self._ask(_quotas.DescribeClientQuotasRequest(components=[component], strict=True))
        _raise_for(answer.error_code, "quotas")
        return {
            entry.entity[0].entity_name: {quota.key: quota.value for quota in entry.values}
            for entry in answer.entries or []
            if entry.entity[0].entity_name is not None
        }

    def create_topics(self, shapes: Mapping[str, TopicShape]) -> None:
        """Create topics in one request; one that somebody else has just created is no failure."""
        answer = self._client.create_topics(
            {
                name: {
                    "num_partitions": shape.partitions,
                    "replication_factor": shape.replication,
                    "configs": dict(shape.settings),
                }
                for name, shape in shapes.items()
            },
            raise_errors=False,
        )
        taken = _errors.TopicAlreadyExistsError.errno
        failed = {topic["name"]: topic for topic in answer["topics"] if topic["error_code"] not in {0, taken}}
        _raise_for_each("create topic", {name: topic["error_message"] for name, topic in failed.items()})

    def delete_topics(self, names: Sequence[str]) -> None:
        """Delete topics with all their records, and wait until they are gone."""
        answer = self._client.delete_topics(list(names), raise_errors=False)
        gone = _errors.UnknownTopicOrPartitionError.errno
        failed = {one["name"]: one for one in answer["topics"] if one["error_code"] not in {0, gone}}
        _raise_for_each("delete topic", {name: one["error_message"] for name, one in failed.items()})
        deadline = time.monotonic() + REACH_SECONDS
        while self.fetch_topics().keys() & set(names) and time.monotonic() < deadline:
            time.sleep(0.05)

    def fetch_standings(
        self, groups: Sequence[str], topics: Sequence[str]
    ) -> dict[tuple[str, str], Standing]:
        """Fetch how consumer groups stand to topics: who reads now, who has committed, what is unread."""
        ends = self._fetch_ends(topics)
        standings: dict[tuple[str, str], Standing] = {}
        described = self._client.describe_groups(list(groups)) if groups else {}
        offsets = self._client.list_group_offsets(dict.fromkeys(groups)) if groups else {}
        for group in groups:
            subscribed = _subscribed(described.get(group, {}))
            committed = {
                (at.topic, at.partition): found.offset
                for at, found in offsets.get(group, {}).items()
                if at.topic in topics and found.offset >= 0
            }
            for topic in topics:
                unread = [max(0, ends[at] - offset) for at, offset in committed.items() if at[0] == topic]
                standings[group, topic] = Standing(topic in subscribed, bool(unread), sum(unread))
        return standings

    def _fetch_ends(self, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        partitions = {
            _TopicPartition(topic["name"], partition["partition_index"]): _admin.OffsetSpec.LATEST
            for topic in self._client.describe_topics(list(topics))
            for partition in topic["partitions"]
        }
        found = self._client.list_partition_offsets(partitions) if partitions else {}
        return {(at.topic, at.partition): end.offset for at, end in found.items()}

    def alter_settings(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        """Set settings of topics; those not named stay."""
        resources = [
            _admin.ConfigResource(_admin.ConfigResourceType.TOPIC, name, dict(wanted))
            for name, wanted in settings.items()
        ]
        answer = self._client.alter_configs(resources, raise_on_unknown=False)
        _raise_for_each("set up topic", {k: v for k, v in answer["topic"].items() if v != "OK"})

    def add_partitions(self, topics: Mapping[str, int]) -> None:
        """Bring topics to so many partitions; there is no way back."""
        answer = self._client.create_partitions(dict(topics), raise_errors=False)
        failed = {found.name: found.error_message for found in answer.results if found.error_code}
        _raise_for_each("add partitions to", failed)

    def set_passwords(self, passwords: Mapping[str, str]) -> None:
        """Make or replace SCRAM credentials; a password leaves this machine only as a salted hash.

        One that stands in is kept beside the user's own.
        """
        upserts = [
            _admin.UserScramCredentialUpsertion(user, mechanism_of(password), password, iterations=ITERATIONS)
            for user, password in passwords.items()
        ]
        answer = self._client.alter_user_scram_credentials(upserts)
        _raise_for_each("give a password to", {user: why for user, why in answer.items() if why is not None})

    def end_stand_ins(self, users: Sequence[str]) -> None:
        """Take back the passwords that stood in for users' own; those who have none are passed over."""
        name = STAND_IN_MECHANISM
        held = [user for user, found in self.fetch_users().items() if user in users and name in found]
        deletions = [_admin.UserScramCredentialDeletion(user, name) for user in held]
        answer = self._client.alter_user_scram_credentials(deletions) if deletions else {}
        _raise_for_each("end a login of", {user: why for user, why in answer.items() if why is not None})

    def grant(self, rules: Sequence[Access]) -> None:
        """Add access rules in one request."""
        answer = self._client.create_acls([_acl(rule, _admin.ACL, _admin.ResourcePattern) for rule in rules])
        if answer["failed"]:
            raise BusNotUsable(
                reason=f"{len(answer['failed'])} access rules were refused: {answer['failed'][0].__name__}.",
                remedy="The broker's log says why.",
            )

    def revoke(self, rules: Sequence[Access]) -> None:
        """Remove access rules in one request."""
        filters = [_acl(rule, _admin.ACLFilter, _admin.ResourcePatternFilter) for rule in rules]
        for _, _, error in self._client.delete_acls(filters):
            _raise_for(error.errno, "access rules")

    def set_quotas(self, quotas: Mapping[str, Mapping[str, float]]) -> None:
        """Set the quotas of users in one request."""
        entry = _quotas.AlterClientQuotasRequest.EntryData
        entries = [
            entry(
                entity=[entry.EntityData(entity_type="user", entity_name=user)],
                ops=[entry.OpData(key=key, value=value, remove=False) for key, value in wanted.items()],
            )
            for user, wanted in quotas.items()
        ]
        answer = self._ask(_quotas.AlterClientQuotasRequest(entries=entries, validate_only=False))
        for result in answer.entries:
            _raise_for(result.error_code, "quotas")

    def _ask(self, request: Any) -> Any:
        # The client has no call for quotas: its connection carries the protocol's own request.
        connection = self._client._manager  # noqa: SLF001
        return connection.run(connection.send, request)


@contextmanager
def open_admin(connection: Connection, within: float = REACH_SECONDS) -> Iterator[Admin]:
    """Connect as a super user; everything that goes wrong with the cluster becomes one sentence.

    Raises:
        BusNotUsable: out of reach, not let in, or a request was refused.
    """
    logger = logging.getLogger("kafka")
    if not logger.handlers:  # else Python prints the client's own warnings beside our sentence
        logger.addHandler(logging.NullHandler())
    _knock(connection, within)
    client = None
    try:
        client = _admin.KafkaAdminClient(
            client_id="lienthong-apply",
            bootstrap_timeout_ms=int(within * 1000),
            reconnect_backoff_max_ms=500,
            **connection.for_kafka_python(),
        )
        cluster = client.describe_cluster()
        in_service = [broker for broker in cluster["brokers"] if not broker.get("is_fenced")]
        yield Admin(client, cluster["cluster_id"], len(in_service))
    except _errors.KafkaError as error:
        raise _as_sentence(error, connection, within) from None
    finally:
        if client is not None:
            client.close()


def await_login(connection: Connection, within: float = REACH_SECONDS) -> None:
    """Wait until every broker that a connection names lets it in: a new password takes a moment to spread.

    Raises:
        BusNotUsable: one does not.
    """
    deadline = time.monotonic() + within
    for server in connection.bootstrap_servers.split(","):
        while True:
            try:
                _knock(replace(connection, bootstrap_servers=server), max(1.0, deadline - time.monotonic()))
            except BusNotUsable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                break


def _knock(connection: Connection, within: float) -> None:
    """Wait until the cluster lets us in, or hear why not.

    kafka-python drops the broker's last words before it hangs up, and so takes a wrong password for silence,
    again and again, leaving a socket behind each time: librdkafka listens better.
    """
    heard: set[str] = set()
    settings = {"error_cb": lambda error: heard.add(error.name()), "log_level": 0}
    client = AdminClient(connection.for_confluent() | settings)
    deadline = time.monotonic() + within
    while True:
        with contextlib.suppress(KafkaException):
            client.list_topics(timeout=0.25)
            return
        client.poll(0)
        if "_AUTHENTICATION" in heard:
            raise _not_let_in(connection)
        if "_SSL" in heard:
            raise BusNotUsable(
                reason=f"The cluster at {connection.bootstrap_servers} does not prove that it is itself.",
                remedy="Name the authority that signed its TLS certificates: --ca-file.",
            )
        if time.monotonic() > deadline:
            raise _out_of_reach(connection.bootstrap_servers, within)


def _not_let_in(connection: Connection) -> BusNotUsable:
    who, where = connection.username, connection.bootstrap_servers
    return BusNotUsable(
        reason=f"The cluster at {where} does not let {who} in: wrong user or password.",
        remedy="Use the secret of this very bus: look at --data, or at the password file you named.",
    )


def _out_of_reach(servers: str, within: float) -> BusNotUsable:
    return BusNotUsable(
        reason=f"The cluster at {servers} did not answer within {within:.0f} s.",
        remedy="See `lienthong status`, or check address, network and certificates.",
    )


def _as_sentence(error: Exception, connection: Connection, within: float) -> BusNotUsable:
    where, username = connection.bootstrap_servers, connection.username
    if isinstance(error, (_errors.SaslAuthenticationFailedError, _errors.UnsupportedSaslMechanismError)):
        return _not_let_in(connection)
    if isinstance(error, _errors.AuthorizationError):
        return BusNotUsable(
            reason=f"The cluster at {where} lets {username} in, but not change it ({type(error).__name__}).",
            remedy="Use the name of a super user.",
        )
    if isinstance(
        error, (_errors.KafkaTimeoutError, _errors.KafkaConnectionError, _errors.NodeNotReadyError)
    ):
        return _out_of_reach(where, within)
    return BusNotUsable(
        reason=f"The cluster at {where} refused a request: {error}.",
        remedy="What was done stays done: correct the cause and run the command again.",
    )


def _subscribed(group: Mapping[str, Any]) -> set[str]:
    """List the topics that a described group's processes have subscribed to."""
    topics: set[str] = set()
    for member in group.get("members") or ():
        said = member.get("member_metadata")
        topics.update(said["topics"] if isinstance(said, Mapping) else getattr(said, "topics", ()))
    return topics


def _acl(rule: Access, kind: Any, pattern: Any) -> Any:
    return kind(
        principal=rule.principal,
        host=rule.host,
        operation=_admin.ACLOperation[rule.operation.upper()],
        permission_type=_admin.ACLPermissionType[rule.permission.upper()],
        resource_pattern=pattern(
            _admin.ResourceType[rule.resource.upper()],
            rule.name,
            _admin.ACLResourcePatternType[rule.pattern.upper()],
        ),
    )


def _raise_for(code: int, what: str) -> None:
    if code:
        raise _errors.for_code(code)(what)


def _raise_for_each(act: str, failed: Mapping[str, str | None]) -> None:
    """List everything that one request could not do."""
    if failed:
        listed = "; ".join(f"{name}: {why or 'no reason given'}" for name, why in sorted(failed.items()))
        raise BusNotUsable(
            reason=f"The cluster would not {act} {listed}.",
            remedy="What was done stays done: correct the cause and run the command again.",
        )
