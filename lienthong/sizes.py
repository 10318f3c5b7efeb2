"""How large a batch of records may be, folded and unfolded, and a dead letter (hops 4, 5, 7)."""

from typing import Final

BATCH_BYTES: Final = 2**20
"""A topic's limit is for a batch of events; the limit of one event is the contract's, and the gate's."""

UNFOLDED_BYTES: Final = 8 * 2**20
"""Greatest size of a batch once unfolded; ours have half a megabyte, librdkafka's usually one."""

LETTER_BYTES: Final = UNFOLDED_BYTES + 2**20
"""A dead letter holds whatever record a reader unfolds, and what is wrong with it."""
