"""One made-up department as a service: `faststream run lienthong.chaos.app:app`, told by the environment."""

import os

from lienthong.chaos import planted, room

planted.plant(os.environ.get("CHAOS_PLANTED", ""))
app = room.furnish(os.environ["CHAOS_DEPARTMENT"], os.environ["CHAOS_CITY"].split(",")).app(
    tables=room.TABLES
)
