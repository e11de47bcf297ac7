"""The digest of a run."""

from __future__ import annotations

from shoal.sim.trace import BATCH, Trace


def filled(count: int, *, peek: bool = False) -> Trace:
    """A trace of *count* made-up deliveries."""
    trace = Trace()
    for number in range(count):
        trace.add(number / 7, number % 5, b"%d" % number)
        if peek and number % 100 == 0:
            trace.hexdigest()
    return trace


def test_asking_for_the_digest_does_not_change_it() -> None:
    """However often it is asked, over several batches."""
    count = 2 * BATCH + 17
    assert filled(count).hexdigest() == filled(count, peek=True).hexdigest()
    assert filled(count).count == count


def test_time_receiver_bytes_and_order_all_count() -> None:
    """Changing any of them changes the digest."""
    variants = [
        [(1.0, 1, b"a"), (1.0, 2, b"b")],
        [(1.0, 2, b"b"), (1.0, 1, b"a")],
        [(1.5, 1, b"a"), (1.0, 2, b"b")],
        [(1.0, 3, b"a"), (1.0, 2, b"b")],
        [(1.0, 1, b"ab"), (1.0, 2, b"")],
        [(1.0, 1, b"a")],
    ]
    digests = set()
    for deliveries in variants:
        trace = Trace()
        for delivery in deliveries:
            trace.add(*delivery)
        digests.add(trace.hexdigest())
    assert len(digests) == len(variants)


def test_the_digest_is_pinned() -> None:
    """Digests in reports compare between machines, whatever their byte order."""
    assert (
        filled(3).hexdigest() == "7f6d17c5dd7f75740ac057c9bfcdbff6693e7f1b7a6467a78088ecb5f21db569"
    )
