"""Apache Kafka's jars: locked by SHA-256, fetched once for all data folders (beneath every hop)."""

import fcntl
import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import orjson
import requests

from lienthong.errors import BusNotUsable

KAFKA: Final = "4.3.1"
ROOT: Final = f"org.apache.kafka:kafka_2.13:{KAFKA}"
BESIDE: Final = (
    f"org.apache.kafka:kafka-tools:{KAFKA}",  # the console consumer and producer
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",  # without a binding the broker logs nothing
)
LOCK: Final = Path(__file__).with_name("jars.lock.json")
TRIES: Final = 4
AT_ONCE: Final = 4
CHUNK: Final = 1 << 16


class Progress(Protocol):
    """Who watches a start: told of each step, and of the bytes that a download has brought."""

    def step(self, sentence: str) -> None:
        """Tell what is being done now."""

    def downloaded(self, done: int, total: int) -> None:
        """Tell how many bytes of all that must be fetched are here."""


class Silent:
    """Watch a start without a word."""

    def step(self, sentence: str) -> None:
        """Say nothing."""

    def downloaded(self, done: int, total: int) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked file: `group:artifact:version`, its SHA-256 and its size in bytes."""

    coordinate: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"

    @property
    def place(self) -> str:
        """The path of the file within a Maven repository."""
        group, artifact, version = self.coordinate.split(":")
        return f"{group.replace('.', '/')}/{artifact}/{version}/{self.name}"


def load_lock(path: Path = LOCK) -> tuple[Jar, ...]:
    """Read the locked jars, in the order of the class path."""
    return tuple(Jar(**jar) for jar in orjson.loads(path.read_bytes())["jars"])


def cache_folder() -> Path:
    """Name the folder that keeps the jars for every data folder of this user."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "lienthong" / "jars"


def fetch_jars(
    folder: Path | None = None,
    *,
    jars: Sequence[Jar] | None = None,
    repositories: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Make sure that every locked jar lies in `folder`, whole and unaltered; download what is missing.

    A download that was cut goes on where it stopped. Raises BusNotUsable with what to do.
    """
    folder = cache_folder() if folder is None else folder
    jars = load_lock() if jars is None else jars
    with _locked(folder):
        missing = [jar for jar in jars if not _is_sound(folder / jar.name, jar)]
        if missing:
            _download_all(missing, folder, repositories or _repositories(), progress or Silent())
    return [folder / jar.name for jar in jars]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time change the cache; the others wait and find the work done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise BusNotUsable(
            reason=f"Kafka's jars cannot be kept in {folder}: {error.strerror or error}.",
            remedy="Free some space there or make the folder writable, or set XDG_CACHE_HOME to another "
            "folder; what was downloaded so far is kept.",
        ) from error


def _is_sound(path: Path, jar: Jar) -> bool:
    """Tell whether the file is exactly the locked one."""
    if not path.is_file() or path.stat().st_size != jar.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256


def _repositories() -> list[str]:
    """Name where to download: what jgo's own settings name (a mirror), then jgo's default."""
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext

    mirrors: list[str] = list(GlobalSettings.load().repositories.values())
    return [*mirrors, *MavenContext().remote_repos.values()]


def _download_all(jars: Sequence[Jar], folder: Path, repositories: Sequence[str], progress: Progress) -> None:
    """Download several jars at once; the first failure stops the rest."""
    total = sum(jar.size for jar in jars)
    arrived: dict[str, int] = {}
    guard = threading.Lock()

    def count(name: str, size: int) -> None:
        with guard:
            arrived[name] = size
            progress.downloaded(sum(arrived.values()), total)

    progress.step(f"Downloading Apache Kafka {KAFKA}: {len(jars)} files, {total / 1e6:.0f} MB, once.")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        downloads = [pool.submit(_download, jar, folder, repositories, count) for jar in jars]
        try:
            for download in downloads:
                download.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _download(jar: Jar, folder: Path, repositories: Sequence[str], count: Callable[[str, int], None]) -> None:
    """Download one jar beside its final place, verify it, then move it there in one step."""
    part = folder / f"{jar.name}.part"
    failure, failures = "", 0
    while failures < TRIES * len(repositories):
        before = _size(part)
        address = f"{repositories[failures % len(repositories)].rstrip('/')}/{jar.place}"
        try:
            _receive(address, part, jar, count)
        except requests.RequestException as error:
            failure = _in_words(error)
            # A connection that is cut again and again still gets there, as long as each brings something.
            failures = 1 if _size(part) > before else failures + 1
            continue
        if _is_sound(part, jar):
            part.replace(folder / jar.name)
            return
        # What came is not the locked file: a half of another version, or tampered with. Never go on from it.
        part.unlink(missing_ok=True)
        failure, failures = "what arrived is not the locked file (its SHA-256 differs)", failures + 1
    host = urlsplit(repositories[0]).hostname
    raise BusNotUsable(
        reason=f"{jar.name} could not be downloaded from {host}: {failure}.",
        remedy="Check the network (or HTTPS_PROXY) and start again: the download goes on where it stopped. "
        "If the SHA-256 keeps differing, somebody on the way alters files: do not use that network.",
    )


def _receive(address: str, part: Path, jar: Jar, count: Callable[[str, int], None]) -> None:
    """Append to `part` what is still missing of the file."""
    have = _size(part)
    if have >= jar.size:
        part.unlink()
        have = 0
    wanted = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(address, headers=wanted, stream=True, timeout=(10, 30)) as answer:
        answer.raise_for_status()
        if answer.status_code != requests.codes.partial_content:
            have = 0  # the repository sent the whole file
        with part.open("r+b" if have else "wb") as file:
            file.seek(have)
            for chunk in answer.iter_content(CHUNK):
                have += len(chunk)
                if have > jar.size:
                    break  # longer than the locked file: the check of its SHA-256 will refuse it
                file.write(chunk)
                count(jar.name, have)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _in_words(error: requests.RequestException) -> str:
    """Say why a download failed, without the whole address."""
    if error.response is not None:
        return f"the repository answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "the repository did not answer in time"
    return "the connection failed or was cut"


def lock(folder: Path) -> list[dict[str, Any]]:
    """Resolve Kafka's class path with jgo and lock each file by what is downloaded now."""
    from jgo.maven import MavenContext

    maven = MavenContext(repo_cache=folder)
    # Only Kafka itself is resolved with what it needs. Resolved together, the dependency management of a
    # second root would win over Kafka's own (log4j's brings kafka-clients 3.9).
    roots, needed = maven.resolver.resolve([maven.create_dependency(ROOT)])
    beside = [maven.create_dependency(coordinate) for coordinate in BESIDE]
    locked = []
    for dependency in sorted([*roots, *needed, *beside], key=lambda one: (one.groupId, one.artifactId)):
        content = Path(dependency.artifact.resolve()).read_bytes()
        coordinate = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
        sha256 = hashlib.sha256(content).hexdigest()
        locked.append({"coordinate": coordinate, "sha256": sha256, "size": len(content)})
    return locked


def main(arguments: Sequence[str]) -> int:
    """Write the lock anew: `python -m lienthong.embedded.jars lock`."""
    if list(arguments) != ["lock"]:
        sys.stderr.write("Usage: python -m lienthong.embedded.jars lock\n")
        return 2
    jars = lock(cache_folder().with_name("maven"))
    LOCK.write_bytes(orjson.dumps({"kafka": KAFKA, "jars": jars}, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.write(f"{len(jars)} jars, {sum(jar['size'] for jar in jars) / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
