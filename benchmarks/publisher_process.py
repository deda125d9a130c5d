"""A Studio that publishes without end, in a process of its own that somebody else ends."""

import time

import django


def publish_without_end(keys: list[str], per_second: int) -> None:
    """Publish edits of the courses in turn, so many in a second."""
    django.setup()
    # The models can be imported only now.
    from benchmarks.publishing import publish, studio

    with studio() as author:
        begin, number = time.monotonic(), 0
        while True:
            time.sleep(max(0.0, begin + number / per_second - time.monotonic()))
            publish(author, keys[number % len(keys)], f"Busy {time.time_ns()}")
            number += 1
