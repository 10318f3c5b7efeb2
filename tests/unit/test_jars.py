"""Kafka's jars are exactly the locked ones, whatever the network does."""

import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lienthong.embedded.jars import KAFKA, Jar, fetch_jars, load_lock
from lienthong.errors import BusNotUsable

CONTENT = bytes(range(256)) * 4000
JAR = Jar("org.example:thing:1.0", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@dataclass
class Repository:
    """A Maven repository that can misbehave."""

    address: str = ""
    content: bytes = CONTENT
    cut_after: int | None = None
    cuts: int = 0
    status: int = 200
    knows_ranges: bool = True
    starts: list[int] = field(default_factory=list)


@dataclass
class Watch:
    """Remembers what a person would have seen."""

    sentences: list[str] = field(default_factory=list)
    seen: list[tuple[int, int]] = field(default_factory=list)

    def step(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def downloaded(self, done: int, total: int) -> None:
        self.seen.append((done, total))


@pytest.fixture
def repository() -> Iterator[Repository]:
    repository = Repository()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(asked[1]) if asked and repository.knows_ranges else 0
            repository.starts.append(start)
            if repository.status != 200:
                self.send_error(repository.status)
                return
            body = repository.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if repository.cut_after is not None and repository.cuts > 0:
                repository.cuts -= 1
                body = body[: repository.cut_after]
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        repository.address = f"http://127.0.0.1:{server.server_address[1]}/maven"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield repository
        server.shutdown()
        thread.join()


def fetch(folder: Path, repository: Repository, watch: Watch | None = None) -> list[Path]:
    return fetch_jars(folder, jars=[JAR], repositories=[repository.address], progress=watch)


def test_a_missing_jar_is_downloaded_once_and_its_progress_is_told(
    tmp_path: Path, repository: Repository
) -> None:
    watch = Watch()
    first = fetch(tmp_path / "jars", repository, watch)
    second = fetch(tmp_path / "jars", repository)
    assert first == second == [tmp_path / "jars" / "thing-1.0.jar"]
    assert first[0].read_bytes() == CONTENT
    assert len(repository.starts) == 1
    assert watch.seen[-1] == (len(CONTENT), len(CONTENT))
    assert "1 MB" in watch.sentences[0]


def test_a_download_that_is_cut_goes_on_where_it_stopped(tmp_path: Path, repository: Repository) -> None:
    repository.cut_after, repository.cuts = 100_000, 9
    assert fetch(tmp_path, repository)[0].read_bytes() == CONTENT
    assert repository.starts == sorted(set(repository.starts))
    assert len(repository.starts) > 9


def test_a_start_after_a_kill_goes_on_from_the_part_that_is_there(
    tmp_path: Path, repository: Repository
) -> None:
    (tmp_path / "thing-1.0.jar.part").write_bytes(CONTENT[:500_000])
    assert fetch(tmp_path, repository)[0].read_bytes() == CONTENT
    assert repository.starts == [500_000]


def test_a_repository_without_ranges_is_read_from_the_beginning(
    tmp_path: Path, repository: Repository
) -> None:
    repository.knows_ranges = False
    (tmp_path / "thing-1.0.jar.part").write_bytes(b"x" * 500_000)
    assert fetch(tmp_path, repository)[0].read_bytes() == CONTENT


def test_a_spoilt_part_is_thrown_away_and_downloaded_again(tmp_path: Path, repository: Repository) -> None:
    (tmp_path / "thing-1.0.jar.part").write_bytes(b"x" * 500_000)
    assert fetch(tmp_path, repository)[0].read_bytes() == CONTENT
    assert repository.starts == [500_000, 0]


def test_a_jar_altered_in_the_cache_is_replaced(tmp_path: Path, repository: Repository) -> None:
    jar = fetch(tmp_path, repository)[0]
    jar.write_bytes(b"y" + CONTENT[1:])
    assert fetch(tmp_path, repository)[0].read_bytes() == CONTENT


@pytest.mark.parametrize("content", [b"z" + CONTENT[1:], CONTENT + b"more", CONTENT[:-1], b""])
def test_a_tampered_download_is_never_used(tmp_path: Path, repository: Repository, content: bytes) -> None:
    repository.content = content
    with pytest.raises(BusNotUsable) as refusal:
        fetch(tmp_path, repository)
    assert list(tmp_path.glob("*.jar")) == []
    assert "thing-1.0.jar could not be downloaded from 127.0.0.1" in str(refusal.value)
    assert "SHA-256" in str(refusal.value)


def test_a_repository_that_does_not_have_it_is_named_with_its_answer(
    tmp_path: Path, repository: Repository
) -> None:
    repository.status = 404
    with pytest.raises(BusNotUsable, match=r"answered 404.*Check the network"):
        fetch(tmp_path, repository)


def test_no_network_gets_a_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BusNotUsable, match=r"connection failed.*goes on where it stopped"):
        fetch_jars(tmp_path, jars=[JAR], repositories=["http://127.0.0.1:9/maven"])


def test_the_next_repository_is_asked_when_the_first_fails(tmp_path: Path, repository: Repository) -> None:
    there = fetch_jars(tmp_path, jars=[JAR], repositories=["http://127.0.0.1:9/", repository.address])
    assert there[0].read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_gets_a_sentence(tmp_path: Path, repository: Repository) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(BusNotUsable, match=r"cannot be kept in .*XDG_CACHE_HOME"):
        fetch(file / "jars", repository)


def test_a_disk_that_is_full_gets_a_sentence_and_keeps_what_came(
    tmp_path: Path, repository: Repository
) -> None:
    script = f"""
import resource
from pathlib import Path
from lienthong.embedded.jars import Jar, fetch_jars
from lienthong.errors import BusNotUsable
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    fetch_jars(Path({str(tmp_path)!r}), jars=[{JAR!r}], repositories=[{repository.address!r}])
except BusNotUsable as refusal:
    print(refusal)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Free some space there" in done.stdout
    assert (tmp_path / "thing-1.0.jar.part").stat().st_size == 300_000


def test_the_lock_names_every_file_once_and_no_place_to_get_it_from() -> None:
    jars = load_lock()
    names = [jar.name for jar in jars]
    assert len(names) == len(set(names)) > 40
    assert {f"kafka-clients-{KAFKA}.jar", f"kafka_2.13-{KAFKA}.jar"} <= set(names)
    assert [jar for jar in jars if not re.fullmatch(r"[0-9a-f]{64}", jar.sha256)] == []
    strange = [
        jar.coordinate for jar in jars if jar.coordinate.count(":") != 2 or not jar.place.endswith(jar.name)
    ]
    assert strange == []
