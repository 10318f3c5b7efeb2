"""A new department, event or reader in minutes: files that pass every check and run at once (hop 3).

Each act reads what is there and gives a plan; nothing is written before the plan has been judged as
`lienthong contracts check` would judge it. It writes new files and adds lines to its own; it overwrites none.
"""

from lienthong.scaffold.department import plan_department
from lienthong.scaffold.event import plan_event
from lienthong.scaffold.plan import Plan
from lienthong.scaffold.reader import plan_reader

__all__ = ["Plan", "plan_department", "plan_event", "plan_reader"]
