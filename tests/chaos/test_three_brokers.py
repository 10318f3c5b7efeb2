"""Three brokers outlive one of them; slow, for they are three."""

import os
import signal
from pathlib import Path

from confluent_kafka.admin import AdminClient

from lienthong.embedded import Bus
from lienthong.testing import until
from tests.broker.test_embedded_bus import client, make_topic, read, replaced, write


async def test_with_three_brokers_writing_goes_on_while_one_is_killed(tmp_path: Path) -> None:
    with Bus(tmp_path, 3) as bus:
        assert sorted(bus.children) == ["kafka-1", "kafka-2", "kafka-3", "postgres"]
        make_topic(bus.description, tmp_path, "three.copies", copies=3)
        admin = AdminClient(client(bus.description, tmp_path))
        leader = admin.list_topics("three.copies", timeout=5).topics["three.copies"].partitions[0].leader
        write(bus.description, tmp_path, "three.copies", ["before"])
        killed = bus.children[f"kafka-{leader}"]
        os.kill(killed, signal.SIGKILL)
        write(bus.description, tmp_path, "three.copies", ["after"])
        await until(replaced(bus, f"kafka-{leader}", killed), within=30)
        assert read(bus.description, tmp_path, "three.copies") == ["before", "after"]
