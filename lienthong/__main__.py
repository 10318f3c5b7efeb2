"""`python -m lienthong` is the command `lienthong`."""

from lienthong.commands import main

main()
