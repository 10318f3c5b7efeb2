"""The account of every fact: committed at its source, and what each reader did about it.

It reads the departments' databases and the topics by itself and shares no code with the delivery.
"""

from lienthong.ledger.account import Ledger, ReaderAccount, TopicAccount
from lienthong.ledger.balance import balance
from lienthong.ledger.city import draw_up

__all__ = ["Ledger", "ReaderAccount", "TopicAccount", "balance", "draw_up"]
