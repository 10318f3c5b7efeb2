"""Become a child of the bus: drop to another OS user, die with the supervisor, then run the program.

Run as a script with nothing but the standard library, since it stands between fork and exec:
doing this in `preexec_fn` of a process with threads may deadlock.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Take `<supervisor pid> <signal at its death> <uid> <gid> <program> …`."""
    supervisor, death_signal, uid, gid = (int(argument) for argument in arguments[:4])
    program = arguments[4:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # Changing the user clears the wish, so it comes after; and a supervisor that died before it was
    # made can no longer fulfil it.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != supervisor:
        sys.exit(f"the supervisor {supervisor} is gone")
    # Ctrl-C in a terminal reaches the whole group: only the supervisor may answer it, in its order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.execv(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
