"""As much of HTTP/1.1 as a router's UPnP server speaks (RFC 9112)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.core import Address

RESPONSE_LENGTH_MAX: Final = 131_072  # ours: twice the longest XML we read
HEADERS_MAX: Final = 100  # ours


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def request(
    addr: Address, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> bytes:
    """Write a GET, or a POST if there is a *body*."""
    host = f"[{addr.host}]" if len(addr.ip) > 4 else addr.host  # noqa: PLR2004 - bytes of IPv4
    lines = [
        f"{'POST' if body else 'GET'} {target} HTTP/1.1",
        f"Host: {host}:{addr.port}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def read_head(data: bytes) -> tuple[str, dict[str, str], bytes]:
    """Split what looks like HTTP into its first line, its headers and the rest.

    Raises:
        DecodeError: there is no end of the headers, or they are none.
    """
    head, separator, rest = data.partition(b"\r\n\r\n")
    if not separator:
        raise DecodeError("HTTP without an end of its headers")
    first, *lines = head.decode("latin-1").split("\r\n")
    if len(lines) > HEADERS_MAX:
        raise DecodeError("too many HTTP headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return first, headers, rest


def decode(data: bytes) -> Response:
    """Read a response of which everything has arrived.

    Raises:
        DecodeError: it is none, or something is missing.
    """
    first, headers, rest = read_head(data)
    words = first.split(" ", 2)
    is_response = len(words) > 1 and words[0].startswith("HTTP/1.")
    if not (is_response and words[1].isdigit() and words[1].isascii() and len(words[1]) == 3):  # noqa: PLR2004 - RFC 9110 section 15
        raise DecodeError("not an HTTP response")
    if "chunked" in headers.get("transfer-encoding", "").lower():
        rest = _join_chunks(rest)
    elif "content-length" in headers:
        length = headers["content-length"]
        if not (length.isascii() and length.isdigit()) or len(length) > 9:  # noqa: PLR2004 - a gigabyte
            raise DecodeError("malformed Content-Length")
        if len(rest) < int(length):
            raise DecodeError("HTTP body too short")
        rest = rest[: int(length)]
    return Response(int(words[1]), headers, rest)


def is_complete(data: bytes) -> bool:
    """Tell whether nothing more needs to come, though the connection is still open."""
    try:
        found = decode(data)
    except DecodeError:
        return False
    return bool({"content-length", "transfer-encoding"} & set(found.headers))


def _join_chunks(data: bytes) -> bytes:
    """Undo the chunked coding (RFC 9112 section 7.1)."""
    pieces: list[bytes] = []
    while True:
        line, separator, data = data.partition(b"\r\n")
        digits = line.partition(b";")[0].strip()
        try:
            length = int(digits, 16)
        except ValueError as error:
            raise DecodeError("malformed HTTP chunk") from error
        if not separator or not 0 <= length <= len(data):
            raise DecodeError("HTTP chunk too short")
        if length == 0:
            return b"".join(pieces)
        pieces.append(data[:length])
        data = data[length + 2 :]
