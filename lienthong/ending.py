"""Tell a task that is told to end from one that only waits for something that was cancelled (hops 4 to 6)."""

import asyncio


def is_told_to_end() -> bool:
    """Tell, where a cancellation arrives, whether it is meant for the task that runs.

    aiokafka cancels futures of its own when a coordinator goes away, and whoever waits for one is cancelled
    too, though nobody wants it to end: a reader would be gone for good, in silence (its issue 1037).
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
