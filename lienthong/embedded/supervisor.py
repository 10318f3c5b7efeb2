"""Keep the bus's child processes running, and end them in order (beneath every hop)."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

LAUNCH: Final = Path(__file__).with_name("launch.py")
BACK_OFF: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
HEALTHY_AFTER: Final = 60.0
"""A child that ran this many seconds is restarted without waiting when it dies."""


@dataclass(frozen=True, slots=True)
class OsUser:
    """Whom a child runs as, when not as ourselves."""

    uid: int
    gid: int
    enters_any_folder: bool = False
    """Keeps the right to pass through folders that are closed to this user."""


def launch_command(command: Sequence[str], user: OsUser | None, at_our_death: signal.Signals) -> list[str]:
    """Wrap a command so that it runs as `user` and is sent a signal when we die."""
    uid, gid, enters = (user.uid, user.gid, int(user.enters_any_folder)) if user else (-1, -1, 0)
    wishes = [str(number) for number in (os.getpid(), int(at_our_death), uid, gid, enters)]
    return [sys.executable, "-I", "-S", str(LAUNCH), *wishes, *command]


def plain_environment() -> dict[str, str]:
    """Give children no more of our environment than they need: it may hold secrets or odd settings."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "TZ") if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8"}


@dataclass
class Child:
    """One program of the bus: how to start it, and what became of it."""

    name: str
    command: Sequence[str]
    folder: Path
    output: Path
    before_start: Callable[[], None]
    stop_signal: signal.Signals = signal.SIGTERM
    user: OsUser | None = None
    patience: float = 20.0
    environment: dict[str, str] | None = None
    """What the program is given instead of the plain environment."""
    keeps_output: bool = False
    """Whether a restart goes on in the same output file."""

    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    restarts: int = 0
    due_at: float | None = None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def start(self) -> None:
        """Start the program; the calling thread must live as long as the program shall."""
        self.before_start()
        with self.output.open("ab" if self.keeps_output else "wb") as output:
            self.process = subprocess.Popen(
                launch_command(self.command, self.user, self.stop_signal),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=plain_environment() if self.environment is None else self.environment,
                # Ctrl-C in a terminal reaches a whole group: only the supervisor may answer it.
                process_group=0,
            )
        self.started_at = time.monotonic()

    def end(self) -> None:
        """Ask the program to stop; return at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def wait_until_ended(self) -> None:
        """Wait for the program's end; past its patience, kill it (nothing acknowledged is lost by that)."""
        if self.process is None:
            return
        try:
            self.process.wait(self.patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def as_json(self) -> dict[str, Any]:
        """Describe the child so that a later supervisor finds it again, and only it."""
        created = None
        with contextlib.suppress(psutil.NoSuchProcess):
            created = psutil.Process(self.pid).create_time() if self.pid is not None else None
        return {
            "pid": self.pid,
            "created": created,
            "signal": int(self.stop_signal),
            "restarts": self.restarts,
        }


class Supervisor:
    """Start children, restart with back-off those that die, end all in order.

    The children are started from one thread that lives as long as they: Linux ties the signal at the
    parent's death to the thread that forked, not to the process.
    """

    def __init__(self, children: Sequence[Child], on_change: Callable[[], None]) -> None:
        self.children = tuple(children)
        self._on_change = on_change
        self._restarting = False
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="bus-supervisor", daemon=True)

    def start(self) -> None:
        """Start all children; return when they run (which is before they are ready)."""
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    def keep_running(self) -> None:
        """From now on restart a child that dies."""
        self._restarting = True

    def stop(self) -> None:
        """End the children and wait until they are gone."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def find_ended(self) -> Child | None:
        """Name a child that has ended by itself, if any."""
        return next((c for c in self.children if c.process is not None and c.pid is None), None)

    def _run(self) -> None:
        try:
            for child in self.children:
                child.start()
                self._on_change()
        except BaseException as error:
            self._failure = error
            self._stopping.set()
        self._started.set()
        while not self._stopping.wait(0.1):
            if self._restarting:
                for child in self.children:
                    self._look_after(child)
        self._end_all()

    def _look_after(self, child: Child) -> None:
        """Restart a child that has ended, sooner the longer it had run."""
        if child.pid is not None:
            return
        now = time.monotonic()
        # A step that fails (a full disk, say) is one more reason to wait, not to give up on the others.
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if child.due_at is None:
                if now - child.started_at > HEALTHY_AFTER:
                    child.restarts = 0
                child.due_at = now + BACK_OFF[min(child.restarts, len(BACK_OFF) - 1)]
                self._on_change()
            elif now >= child.due_at:
                child.due_at = None
                child.restarts += 1
                child.start()
                self._on_change()

    def _end_all(self) -> None:
        """End the brokers first, together: each needs the others to hand over; then the database."""
        brokers = [child for child in self.children if child.name != "postgres"]
        others = [child for child in self.children if child.name == "postgres"]
        for group in (brokers, others):
            for child in group:
                child.end()
            for child in group:
                child.wait_until_ended()


def end_stray(child: dict[str, Any], sign: str, patience: float = 10.0) -> bool:
    """End a child that outlived its supervisor; True if there was one.

    It is surely ours only if pid, creation time and a sign in its command line agree.
    """
    if child["pid"] is None or child["created"] is None:
        return False
    try:
        process = psutil.Process(child["pid"])
        if abs(process.create_time() - child["created"]) > 1 or sign not in " ".join(process.cmdline()):
            return False
        process.send_signal(child["signal"])
        try:
            process.wait(patience)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(patience)
    except psutil.NoSuchProcess:
        return False
    return True
