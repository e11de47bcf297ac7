"""PEM text: labelled base64 blocks, one after the other.

Lenient where the peers are (no line breaks, bytes before the first block, as RFC 7468 section 2
allows), strict in the base64 itself.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from shoal.core import DecodeError

_LINE_LENGTH: Final = 64  # RFC 7468 section 2
_BEGIN: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----")


def encode(label: str, der: bytes) -> str:
    """Return *der* as one PEM block with a line break at the end."""
    text = base64.b64encode(der).decode()
    lines = [text[start : start + _LINE_LENGTH] for start in range(0, len(text), _LINE_LENGTH)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def blocks(data: bytes, label: str, count_max: int) -> list[bytes]:
    """Return the contents of the blocks with this *label*, in order; others are passed over.

    Raises:
        DecodeError: a block does not end, is not base64, or there are more than *count_max*.
    """
    wanted, found, position = label.encode(), list[bytes](), 0
    while (begin := _BEGIN.search(data, position)) is not None:
        ending = b"-----END " + begin[1] + b"-----"
        end = data.find(ending, begin.end())
        if end < 0:
            raise DecodeError("PEM block without an end", begin.start())
        position = end + len(ending)
        if begin[1] != wanted:
            continue
        if len(found) == count_max:
            raise DecodeError(f"more than {count_max} PEM blocks", begin.start())
        try:
            body = b"".join(data[begin.end() : end].split())
            found.append(binascii.a2b_base64(body, strict_mode=True))
        except binascii.Error as error:
            raise DecodeError("PEM block is not base64", begin.end()) from error
    return found


def has_blocks(data: bytes) -> bool:
    """Say whether *data* holds the beginning of a PEM block, as opposed to DER."""
    return _BEGIN.search(data) is not None
