"""Become a child of the bus: drop to another OS user, die with the supervisor, then run the program.

Run as a script with nothing but the standard library, since it stands between fork and exec:
doing this in `preexec_fn` of a process with threads may deadlock.
"""

import ctypes
import os
import struct
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION = 0x20080522
MAY_ENTER_ANY_FOLDER = 1  # CAP_DAC_OVERRIDE


def main(arguments: list[str]) -> None:
    """Take `<supervisor pid> <signal at its death> <uid> <gid> <enter any folder: 0 or 1> <program> …`."""
    supervisor, death_signal, uid, gid, enter = (int(argument) for argument in arguments[:5])
    program = arguments[5:]
    if uid >= 0:
        drop_to(uid, gid, keep_entering=bool(enter))
    # Changing the user clears the wish, so it comes after; and a supervisor that died before it was
    # made can no longer fulfil it.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != supervisor:
        sys.exit(f"the supervisor {supervisor} is gone")
    os.execv(program[0], program)  # noqa: S606  (no shell is the point)


def drop_to(uid: int, gid: int, *, keep_entering: bool) -> None:
    """Become another user; where root's folders are closed to it, keep the one right to pass through."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.setgroups([])
    os.setgid(gid)
    if keep_entering:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setuid(uid)
    if keep_entering:
        right = 1 << MAY_ENTER_ANY_FOLDER
        header = struct.pack("=Ii", CAPABILITY_VERSION, 0)
        libc.capset(header, struct.pack("=6I", right, right, right, 0, 0, 0))
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, MAY_ENTER_ANY_FOLDER, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
