"""What callers may write for a key, a value, a condition."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import InfoHash
from shoal.dht.errors import KeyFormatError
from shoal.dht.query import Query, Where
from shoal.dht.value import Value

if TYPE_CHECKING:
    from shoal.core import Entropy

Key: TypeAlias = InfoHash | str
Content: TypeAlias = Value | bytes | str
Conditions: TypeAlias = Where | str

VALUE_ID_MAX: Final = 2**64 - 1  # reference section 2.1


def key_of(key: Key) -> InfoHash:
    """Return the place in the DHT that *key* names.

    Raises:
        KeyFormatError: it is empty.
    """
    if isinstance(key, InfoHash):
        return key
    if not key:
        raise KeyFormatError("an empty key: give 40 hex digits, a text or an InfoHash")
    return InfoHash.from_text(key)


def value_of(content: Content, entropy: Entropy) -> Value:
    """Return *content* as a value with an id; text becomes UTF-8, as in OpenDHT's tools."""
    match content:
        case Value():
            value = content
        case str():
            value = Value(data=content.encode())
        case _:
            value = Value(data=bytes(content))
    return value if value.id else replace(value, id=1 + entropy.below(VALUE_ID_MAX))


def where_of(conditions: Conditions) -> Where:
    """Return *conditions*; text reads `field=value,field=value`.

    Raises:
        DecodeError: the text is not understood.
    """
    if isinstance(conditions, str):
        return Query.parse(f"WHERE {conditions}").where if conditions.strip() else ()
    return conditions
