"""A `NameIndex` in memory, for engines under test."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shoal.names.effects import IndexedName, IndexStatus
from shoal.names.record import is_valid
from shoal.names.wire import encode_record

if TYPE_CHECKING:
    from shoal.core import AccountId
    from shoal.names import NameRecord


class MemoryIndex:
    """What a chain would say that has these records."""

    def __init__(self, *records: NameRecord) -> None:
        self.names: dict[str, IndexedName] = {}
        self.is_complete = True
        for record in records:
            self.put(record)

    def put(self, record: NameRecord) -> None:
        """Have a record."""
        answer = encode_record(record) if is_valid(record) else b""
        self.names[record.name] = IndexedName(
            record.name, record.account, bytes(record.owner or b""), answer, is_valid(record)
        )

    def find(self, name: str) -> IndexedName | None:
        """Return who has a name."""
        return self.names.get(name)

    def name_of(self, account: AccountId) -> str | None:
        """Return the name of an account."""
        own = [each for each in self.names.values() if each.account == account]
        return max(own, key=lambda each: each.is_valid).name if own else None

    def status(self) -> IndexStatus:
        """Return how far it is."""
        return replace(IndexStatus(), is_complete=self.is_complete, names=len(self.names))
