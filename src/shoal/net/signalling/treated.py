"""Ids of offers that were seen, so that none is answered twice, across restarts too.

On disk: a msgpack array of `[id, seconds since 1970]`, oldest first, as Jami of 2026 keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core import DecodeError
from shoal.net.signalling.request import REQUEST_ID_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

_SAVED_MAX: Final = 65_536  # entries that a file may have, ours


class TreatedIds:
    """A set of ids that forgets the oldest."""

    def __init__(self, size_max: int, life: float, saved: Iterable[tuple[int, float]] = ()) -> None:
        self._size_max = size_max
        self._life = life
        self._seen: dict[int, float] = {}
        for request_id, wall_seen in saved:
            self._add(request_id, wall_seen)

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, request_id: int) -> bool:
        return request_id in self._seen

    def add(self, request_id: int, wall_now: float) -> None:
        """Remember an id, and forget what has become old."""
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest] > wall_now - self._life:
                break
            del self._seen[oldest]
        self._add(request_id, wall_now)

    def packed(self) -> bytes:
        """Return what a file holds."""
        entries = [[request_id, int(seen)] for request_id, seen in self._seen.items()]
        packed: bytes = msgpack.packb(entries)
        return packed

    def _add(self, request_id: int, wall_seen: float) -> None:
        self._seen.pop(request_id, None)
        self._seen[request_id] = wall_seen
        while len(self._seen) > self._size_max:
            del self._seen[next(iter(self._seen))]


def unpack_treated(data: bytes) -> list[tuple[int, float]]:
    """Read what `packed` wrote; entries that make no sense are left out.

    Raises:
        DecodeError: *data* is no such file.
    """
    try:
        entries = msgpack.unpackb(data, max_array_len=_SAVED_MAX)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise DecodeError(f"not a list of treated ids: {error}") from error
    if type(entries) is not list:
        raise DecodeError("treated ids that are not an array")
    return [
        (entry[0], float(entry[1]))
        for entry in entries
        if type(entry) is list
        and len(entry) == 2  # noqa: PLR2004 - id and time
        and all(type(number) is int for number in entry)
        and 1 <= entry[0] <= REQUEST_ID_MAX
        and 0 <= entry[1] < REQUEST_ID_MAX
    ]
