"""Dead letters again: find them, decide about them, send them to their reader once more (hop 7)."""
