"""What lies in the nodes of a prefix hash tree: entries and canaries, as values of the DHT.

| | user type | data |
| --- | --- | --- |
| entry | `index.pht.NAME` | map `prefix`: bin (the whole content), `value`: `[bin of 20, uint64]` |
| canary | `index.pht.NAME.canary` | empty |

Both are of value type 0, so they live ten minutes. An entry says under which key, with which value
id, the indexed value lies; a canary says that its node is part of the tree.

OpenDHT takes every value whose user type *begins* like that of an entry. Here it must be equal:
an index would else find the entries of another whose name begins like its own.

Source: OpenDHT indexation/pht.h, struct IndexEntry; pht.cpp, updateCanary.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from shoal.core import DecodeError, InfoHash
from shoal.core.records import dataclass
from shoal.dht.packing import (
    UINT64_MAX,
    pack_bin,
    pack_uint,
    read_blob,
    read_hash,
    read_uint,
    unpack,
)
from shoal.dht.value import Value

USER_TYPE: Final = "index.pht."  # OpenDHT pht.h: INDEX_PREFIX
CANARY: Final = ".canary"  # OpenDHT pht.h, constructor of Pht
NAME_SIZE_MAX: Final = 256  # ours: bytes; it is sent with every entry


class IndexValue(NamedTuple):
    """What an index points at: the value *value_id* under *key*."""

    key: InfoHash
    value_id: int


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One entry: the linearized key, and what it points at."""

    prefix: bytes
    value: IndexValue

    def pack(self, name: str, value_id: int) -> Value:
        """Return the value that carries this entry in the index *name*, under *value_id*."""
        data = b"".join(
            (
                b"\x82\xa6prefix",
                pack_bin(self.prefix),
                b"\xa5value\x92",
                pack_bin(self.value.key),
                pack_uint(self.value.value_id),
            )
        )
        return Value(data, id=value_id, user_type=USER_TYPE + name)

    @classmethod
    def unpack(cls, data: bytes) -> IndexEntry:
        """Read the data of an entry.

        Raises:
            DecodeError: it is none.
        """
        item = unpack(data)
        if type(item) is not dict or "prefix" not in item:
            raise DecodeError("an index entry without a prefix")
        pair = item.get("value")
        if type(pair) is not list or len(pair) != 2:  # noqa: PLR2004 - key and id
            raise DecodeError("an index entry without a value")
        target = IndexValue(read_hash(pair[0]), read_uint(pair[1], UINT64_MAX))
        return cls(read_blob(item["prefix"]), target)


def canary(name: str, value_id: int) -> Value:
    """Return a value that marks a node of the index *name*."""
    return Value(id=value_id, user_type=USER_TYPE + name + CANARY)
