"""What a client remembers of name servers' answers, and for how long it believes them."""

from __future__ import annotations

import enum
from collections import OrderedDict
from typing import TYPE_CHECKING, TypeAlias

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import AccountId
    from shoal.names.config import NameClientConfig
    from shoal.names.record import NameRecord

Key: TypeAlias = "tuple[str, str | AccountId]"  # the server, and a name or an account


class Freshness(enum.Enum):
    """What a remembered answer is good for."""

    FRESH = "fresh"  # no need to ask again
    STALE = "stale"  # ask again; it serves if there is no answer
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Remembered:
    """An answer: a record, or that there is none."""

    record: NameRecord | None
    when: float


class NameCache:
    """Answers by server and question; beyond its size the longest unused is forgotten."""

    def __init__(self, config: NameClientConfig) -> None:
        self._config = config
        self._answers: OrderedDict[Key, Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, key: Key, now: float) -> tuple[Freshness, NameRecord | None]:
        """Return what is remembered under *key*: a record, or None for "there is none"."""
        remembered = self._answers.get(key)
        if remembered is None:
            return Freshness.UNKNOWN, None
        age, config = now - remembered.when, self._config
        self._answers.move_to_end(key)
        if remembered.record is None:
            if age <= config.missing_life:
                return Freshness.FRESH, None
            del self._answers[key]
            return Freshness.UNKNOWN, None
        if age <= config.found_life:
            return Freshness.FRESH, remembered.record
        if age <= config.stale_life:
            return Freshness.STALE, remembered.record
        del self._answers[key]
        return Freshness.UNKNOWN, None

    def remember(self, key: Key, record: NameRecord | None, now: float) -> None:
        """Remember the answer to one question."""
        self._answers[key] = Remembered(record, now)
        self._answers.move_to_end(key)
        while len(self._answers) > self._config.cache_size:
            self._answers.popitem(last=False)

    def remember_record(self, server: str, record: NameRecord, now: float) -> None:
        """Remember a record that was checked, under its name and under its account."""
        self.remember((server, record.name), record, now)
        self.remember((server, record.account), record, now)

    def forget(self, key: Key) -> None:
        """Forget the answer to one question."""
        self._answers.pop(key, None)
