"""The command of a broker: what is asked of its Java comes after what we ask, so that it counts."""

from pathlib import Path

import pytest

from lienthong.embedded.kafka import Node, broker_command


def test_an_operators_java_options_come_last_of_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_JVM_PERFORMANCE_OPTS", "-Xmx2g '-Dsaid=two words'")
    command = broker_command(Node(1, tmp_path, 1, 2), Path("java"), [Path("kafka.jar")])
    assert command.index("-Xmx448m") < command.index("-Xmx2g") < command.index("-cp")
    assert "-Dsaid=two words" in command
