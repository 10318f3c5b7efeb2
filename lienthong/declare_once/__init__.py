"""Declare once: what each procedure's form asks, what it takes from the bus instead, and what that spares.

A room describes its forms in `services/<department>/forms/<form>.yaml`; nothing here knows a department.
"""

from lienthong.declare_once.account import Account, Reasked, account, known_places, reasked
from lienthong.declare_once.form import Form, Paper, Place, Question
from lienthong.declare_once.load import check_forms, load_forms
from lienthong.declare_once.sums import Sums, spared, sums

__all__ = [
    "Account",
    "Form",
    "Paper",
    "Place",
    "Question",
    "Reasked",
    "Sums",
    "account",
    "check_forms",
    "known_places",
    "load_forms",
    "reasked",
    "spared",
    "sums",
]
