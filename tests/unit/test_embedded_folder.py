"""The bus's data folder and ports: taken by one, found by others, refused with a sentence."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lienthong.embedded import Bus, find_bus, folder
from lienthong.embedded.ports import HOST, Claims, choose_ports, load_ports, note_ports, usual_ports
from lienthong.embedded.ready import find_trouble, not_started
from lienthong.embedded.secret import load_or_generate
from lienthong.embedded.supervisor import end_stray
from lienthong.errors import BusNotUsable


@pytest.fixture
def listener() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server((HOST, 0)) as server:
        yield int(server.getsockname()[1])


def test_a_taken_port_is_passed_over_for_one_near_it(listener: int) -> None:
    chosen = choose_ports({}, {"kafka-1": listener}, reach=50)
    assert listener < chosen["kafka-1"] < listener + 50


def test_a_port_of_the_last_start_is_kept_while_it_is_free(listener: int) -> None:
    free = choose_ports({}, {"kafka-1": listener}, reach=50)["kafka-1"]
    assert choose_ports({"kafka-1": free}, {"kafka-1": 9092}) == {"kafka-1": free}


def test_two_listeners_never_get_the_same_port(listener: int) -> None:
    chosen = choose_ports({}, {"kafka-1": listener, "kafka-2": listener, "postgres": listener}, reach=50)
    assert len(set(chosen.values())) == 3


def test_a_port_whose_broker_is_about_to_come_back_is_not_taken_by_another_bus(tmp_path: Path) -> None:
    one, other = Claims(tmp_path / "ports"), Claims(tmp_path / "ports")
    # Below the range from which systems give out passing ports.
    first = choose_ports({}, {"kafka-1": 12_000}, claim=one.claim)["kafka-1"]
    assert choose_ports({}, {"kafka-1": first}, reach=50, claim=one.claim) == {"kafka-1": first}
    assert (
        choose_ports({"kafka-1": first}, {"kafka-1": first}, reach=50, claim=other.claim)["kafka-1"] > first
    )
    one.let_go()
    assert choose_ports({}, {"kafka-1": first}, reach=50, claim=other.claim) == {"kafka-1": first}
    other.let_go()


def test_no_free_port_gets_a_sentence_that_says_what_to_do(listener: int) -> None:
    with pytest.raises(BusNotUsable, match=r"No free port was found for postgres.*Stop programs"):
        choose_ports({}, {"postgres": listener}, reach=1)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"postgres": "x"}', '{"postgres": 70000}'])
def test_a_damaged_note_of_ports_is_no_hindrance(tmp_path: Path, text: str) -> None:
    (tmp_path / "ports.json").write_text(text)
    assert load_ports(tmp_path / "ports.json") == {}


def test_noted_ports_are_read_back(tmp_path: Path) -> None:
    note_ports(tmp_path / "ports.json", usual_ports(3))
    noted = load_ports(tmp_path / "ports.json")
    assert noted["kafka-3"] == 9094
    assert set(noted) == {"postgres", *(f"{k}-{n}" for k in ("kafka", "controller") for n in (1, 2, 3))}


def test_a_folder_is_taken_by_one_and_free_again_after(tmp_path: Path) -> None:
    assert folder.find_owner(tmp_path) is None
    with folder.take(tmp_path):
        assert folder.find_owner(tmp_path) == os.getpid()
        with pytest.raises(BusNotUsable, match=f"process {os.getpid()} is starting or stopping it"):
            folder.take(tmp_path)
    assert folder.find_owner(tmp_path) is None


def test_a_description_left_by_a_kill_is_not_a_running_bus(tmp_path: Path) -> None:
    folder.note_bus(tmp_path, {"pid": 1})
    assert find_bus(tmp_path) is None
    with folder.take(tmp_path):
        assert find_bus(tmp_path) is None
        folder.note_bus(tmp_path, {"pid": os.getpid()})
        assert find_bus(tmp_path) == {"pid": os.getpid()}


def test_a_disk_that_is_nearly_full_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BusNotUsable, match=r"MB free; the bus needs .* MB\. Free some space"):
        folder.check_space(tmp_path, needed=1 << 60)


def test_a_data_folder_that_cannot_be_made_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BusNotUsable, match=r"The bus cannot use .*make the folder writable"):
        Bus(tmp_path / "file" / "data").start()


def test_two_brokers_are_not_offered(tmp_path: Path) -> None:
    with pytest.raises(BusNotUsable, match=r"of 2 brokers is not offered\. Choose 1 or 3"):
        Bus(tmp_path, 2).start()
    assert folder.find_owner(tmp_path) is None


def test_a_folder_keeps_the_number_of_brokers_it_was_first_started_with(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text('{"cluster_id": "x", "brokers": 1}')
    with pytest.raises(BusNotUsable, match=r"holds a bus of 1 broker\(s\), not of 3.*--brokers 1"):
        Bus(tmp_path, 3).start()


def test_secrets_are_generated_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "kafka-admin.password"
    secret = load_or_generate(file)
    assert load_or_generate(file) == secret
    assert len(secret) >= 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_part_that_does_not_start_is_told_with_the_last_words_of_trouble(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("INFO starting\nERROR Exiting Kafka: it is odd.\n\tat kafka.Kafka\nINFO bye\n")
    sentence = str(not_started("kafka-1", log))
    assert sentence == (
        f"kafka-1 ended while it was starting: ERROR Exiting Kafka: it is odd. Its log says more: {log}."
    )


def test_a_part_that_found_the_disk_full_says_so(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    log.write_text("FATAL: could not write lock file: No space left on device\n")
    assert "Free some space on that disk" in str(not_started("postgres", log))


def test_a_log_without_trouble_gives_its_last_line_and_no_log_none(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("INFO one\nINFO two\n\n")
    assert find_trouble(tmp_path / "log") == "INFO two"
    assert find_trouble(tmp_path / "none") is None


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that sleeps, with a word on its command line."""
    command = [sys.executable, "-c", "import time; time.sleep(60)", "our-folder"]
    with subprocess.Popen(command) as process:
        # For a moment after it has begun, the system knows no command line of it.
        while not psutil.Process(process.pid).cmdline():
            assert process.poll() is None
        yield process
        process.kill()


def described(process: subprocess.Popen[bytes], **changes: object) -> dict[str, object]:
    created = psutil.Process(process.pid).create_time()
    return {"pid": process.pid, "created": created, "signal": int(signal.SIGTERM), **changes}


def test_a_child_that_outlived_its_supervisor_is_ended(stranger: subprocess.Popen[bytes]) -> None:
    assert end_stray(described(stranger), "our-folder") is True
    assert not psutil.pid_exists(stranger.pid)


def test_a_process_that_only_got_the_same_id_is_left_alone(stranger: subprocess.Popen[bytes]) -> None:
    assert end_stray(described(stranger), "another-folder") is False
    assert end_stray(described(stranger, created=1.0), "our-folder") is False
    assert end_stray(described(stranger, pid=None), "our-folder") is False
    assert stranger.poll() is None
