"""DER, as far as X.509 needs it: reading with bounds, and writing.

    tag     1 byte     class, constructed bit, number 0 to 30
    length  1 byte     below 128, or 0x80 | n followed by n bytes, big-endian, shortest form
    content            for a constructed tag: elements, one after the other

`cryptography` parses and signs. This module is for what it refuses and what peers nevertheless
send: negative serial numbers and negative CRL numbers, which have to be compared as raw bytes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from shoal.core import DecodeError

# X.690 sections 8.2 to 8.26, with the bit for "constructed" where the type is.
BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OBJECT_IDENTIFIER: Final = 0x06
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31

_LONG_LENGTH: Final = 0x80
_LENGTH_BYTES_MAX: Final = 3  # ours: 16 MiB, far above any bound of the callers
_HIGH_TAG: Final = 0x1F  # X.690 section 8.1.2.4: longer tags follow; X.509 has none


class Element(NamedTuple):
    """One tag, length and content, as a place in the bytes that were read."""

    data: bytes
    tag: int
    start: int
    content_start: int
    end: int

    @property
    def content(self) -> bytes:
        """What is inside."""
        return self.data[self.content_start : self.end]

    @property
    def encoded(self) -> bytes:
        """Tag and length too."""
        return self.data[self.start : self.end]

    def children(self) -> list[Element]:
        """Return the elements inside.

        Raises:
            DecodeError: the content is not a series of elements.
        """
        elements = []
        position = self.content_start
        while position < self.end:
            element = _read(self.data, position, self.end)
            elements.append(element)
            position = element.end
        return elements

    def expect(self, tag: int) -> Element:
        """Return this element.

        Raises:
            DecodeError: it has another tag.
        """
        if self.tag != tag:
            raise DecodeError(f"DER tag {self.tag:#04x} instead of {tag:#04x}", self.start)
        return self


def parse(data: bytes) -> Element:
    """Read the one element that *data* is.

    Raises:
        DecodeError: *data* is not one DER element, from the first byte to the last.
    """
    element = _read(data, 0, len(data))
    if element.end != len(data):
        raise DecodeError("bytes after the DER element", element.end)
    return element


def encode(tag: int, *contents: bytes) -> bytes:
    """Return an element with the joined *contents*."""
    content = b"".join(contents)
    length = len(content)
    if length < _LONG_LENGTH:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, _LONG_LENGTH | len(octets))) + octets + content


def encode_integer(value: int) -> bytes:
    """Return the INTEGER *value*, zero or positive."""
    return encode(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def _read(data: bytes, start: int, limit: int) -> Element:
    """Read the element at *start*, which has to end by *limit*."""
    if start + 2 > limit:
        raise DecodeError("DER element cut off", start)
    tag, length = data[start], data[start + 1]
    position = start + 2
    if tag & _HIGH_TAG == _HIGH_TAG:
        raise DecodeError("DER tag of several bytes", start)
    if length >= _LONG_LENGTH:
        count = length - _LONG_LENGTH
        # X.690 section 10.1: "the definite form of length encoding shall be used, encoded in
        # the minimum number of octets".
        if not 1 <= count <= _LENGTH_BYTES_MAX or position + count > limit:
            raise DecodeError("DER length of a form that is not allowed", start)
        length = int.from_bytes(data[position : position + count])
        position += count
        if length < _LONG_LENGTH or length >> (8 * (count - 1)) == 0:
            raise DecodeError("DER length is not in its shortest form", start)
    if position + length > limit:
        raise DecodeError("DER element cut off", start)
    return Element(data, tag, start, position, position + length)
