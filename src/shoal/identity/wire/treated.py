"""The file `treatedMessages`: ids of connection requests and messages that were acted upon.

One id a line, 16 hex digits, the oldest first. A known id is not acted upon again, also after a
restart; the reference keeps 13.7's for ever, here the oldest go.

Source: Jami jamiaccount.cpp, loadTreatedMessages; reference sections 1.8 and A.5.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TREATED_MAX: Final = 16_384  # ours: 10 minutes, the life of a request, at 27 a second
_SIZE_MAX: Final = 17 * 1024 * 1024  # ours: a million lines, of which the last count
_LINE: Final = re.compile(rb"[0-9a-f]{1,16}")


def pack_treated(ids: Iterable[int]) -> bytes:
    """Return the file's content."""
    return b"".join(b"%016x\n" % each for each in ids)


def unpack_treated(data: bytes) -> list[int]:
    """Read the file: its last 16,384 ids; lines that are none are passed over.

    Raises:
        DecodeError: it is larger than 17 MiB.
    """
    if len(data) > _SIZE_MAX:
        raise DecodeError(f"{len(data)} bytes of treated messages; {_SIZE_MAX} at most")
    lines = [each for each in data.split() if _LINE.fullmatch(each)]
    return [int(each, 16) for each in lines[-TREATED_MAX:]]


class TreatedIds:
    """Ids acted upon, as a set with an order; the oldest goes when there are too many."""

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._ids = dict.fromkeys(ids)

    def __contains__(self, id: int) -> bool:  # noqa: A002 - the field's own word
        return id in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[int]:
        """Iterate over them, the oldest first."""
        return iter(self._ids)

    def add(self, id: int) -> bool:  # noqa: A002 - the field's own word
        """Remember *id*; say whether it is new."""
        if id in self._ids:
            return False
        self._ids[id] = None
        while len(self._ids) > TREATED_MAX:
            del self._ids[next(iter(self._ids))]
        return True

    def pack(self) -> bytes:
        """Return the file's content."""
        return pack_treated(self._ids)
