"""Children are kept running, ended in order, and never outlive who started them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lienthong.embedded.supervisor import Child, Supervisor
from lienthong.testing import until

SLEEP = ("/bin/sh", "-c", "exec sleep 60")
OBSTINATE = ("/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")


def child(folder: Path, name: str = "one", command: tuple[str, ...] = SLEEP, **more: object) -> Child:
    return Child(name, command, folder, folder / f"{name}.log", before_start=lambda: None, **more)  # type: ignore[arg-type]


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Child]:
    one = child(tmp_path)
    supervisor = Supervisor([one], lambda: None)
    supervisor.start()
    supervisor.keep_running()
    yield one
    supervisor.stop()


async def test_a_child_that_is_killed_is_started_again(supervised: Child) -> None:
    killed = supervised.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    await until(lambda: supervised.pid not in {None, killed}, within=20)
    assert supervised.restarts == 1
    assert supervised.as_json()["restarts"] == 1


async def test_a_child_that_keeps_dying_is_started_less_and_less_often(tmp_path: Path) -> None:
    starts: list[int] = []
    one = Child(
        "one",
        ("/bin/false",),
        tmp_path,
        tmp_path / "log",
        before_start=lambda: starts.append(1),
    )
    supervisor = Supervisor([one], lambda: None)
    supervisor.start()
    supervisor.keep_running()
    await until(lambda: one.restarts >= 3, within=20)
    supervisor.stop()
    assert one.as_json()["pid"] is None
    assert len(starts) == one.restarts + 1


async def test_a_start_that_fails_is_tried_again(tmp_path: Path) -> None:
    tries: list[int] = []

    def stumble() -> None:
        tries.append(len(tries))
        if len(tries) == 2:
            raise OSError(28, "No space left on device")

    one = Child("one", SLEEP, tmp_path, tmp_path / "log", before_start=stumble)
    supervisor = Supervisor([one], lambda: None)
    supervisor.start()
    supervisor.keep_running()
    killed = one.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    await until(lambda: one.pid not in {None, killed}, within=20)
    supervisor.stop()
    assert tries == [0, 1, 2]


def test_a_first_start_that_fails_is_told_and_leaves_nothing_running(tmp_path: Path) -> None:
    def stumble() -> None:
        raise OSError(28, "No space left on device")

    good = child(tmp_path)
    bad = Child("bad", SLEEP, tmp_path, tmp_path / "log", before_start=stumble)
    supervisor = Supervisor([good, bad], lambda: None)
    with pytest.raises(OSError, match="No space left"):
        supervisor.start()
    supervisor.stop()
    assert good.pid is None


def test_the_brokers_are_ended_before_the_database_they_serve(tmp_path: Path) -> None:
    ends: list[str] = []

    class Noting(Child):
        def end(self) -> None:
            ends.append(self.name)
            super().end()

    children = [
        Noting(name, SLEEP, tmp_path, tmp_path / name, before_start=lambda: None)
        for name in ("postgres", "kafka-1", "kafka-2")
    ]
    supervisor = Supervisor(children, lambda: None)
    supervisor.start()
    supervisor.stop()
    assert ends == ["kafka-1", "kafka-2", "postgres"]
    assert [child.name for child in children if child.pid is not None] == []


async def test_a_child_that_will_not_end_is_killed_when_patience_ends(tmp_path: Path) -> None:
    one = child(tmp_path, command=OBSTINATE, patience=0.2)
    supervisor = Supervisor([one], lambda: None)
    supervisor.start()
    await until(lambda: (tmp_path / "one.log").read_text() == "ready\n", within=20)
    supervisor.stop()
    assert one.process is not None
    assert one.process.returncode == -signal.SIGKILL


async def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from lienthong.embedded.supervisor import Child, Supervisor
folder = Path(sys.argv[1])
one = Child("one", ("/bin/sh", "-c", "exec sleep 60"), folder, folder / "log", before_start=lambda: None)
Supervisor([one], lambda: None).start()
print(one.pid, flush=True)
sys.stdin.read()
"""
    pid = _kill_after_first_line([sys.executable, "-c", script, str(tmp_path)])
    await until(lambda: not psutil.pid_exists(pid), within=20)


def _kill_after_first_line(command: list[str]) -> int:
    repository = Path(__file__).parents[2]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=repository, stdin=pipe, stdout=pipe, text=True) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert psutil.pid_exists(pid)
        supervisor.kill()
    return pid


def test_children_get_none_of_our_secrets_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIENTHONG_PASSWORD", "not-for-children")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dodd=true")
    one = child(tmp_path, command=("/bin/sh", "-c", "env"))
    one.start()
    assert one.process is not None
    one.process.wait(10)
    said = (tmp_path / "one.log").read_text()
    assert "PATH=" in said
    assert [word for word in ("not-for-children", "odd") if word in said] == []
