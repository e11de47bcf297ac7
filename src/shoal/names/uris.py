"""Addresses that people type: `jami:name@server`, names, ids.

Both generations of Jami read them with a regular expression; the newer one takes more. Ours reads
what either does, and keeps them apart only in `parse_as_13_7`.

    [jami:|ring:|sip:…[//]] [name@] host-or-name
"""

from __future__ import annotations

import re
from typing import Final

from shoal.core import AccountId
from shoal.core.records import dataclass
from shoal.names.errors import AddressFormatError

ADDRESS_LENGTH_MAX: Final = 1024  # characters; ours: names have 64 at most, hosts 253

# Jami namedirectory.cpp, URI_VALIDATOR, 13.7 and 2026. Groups: scheme, name, host or name.
_PATTERN_13_7: Final = re.compile(
    r"([a-zA-Z]+:(?://)?)?(?:([a-z0-9\-_]{1,64})@)?([a-zA-Z0-9\-._~%!$&'()*+,;=:\[\]]+)", re.ASCII
)
_PATTERN: Final = re.compile(
    r"([a-zA-Z]+:(?://)?)?(?:([\w\-.~%!$&'()*+,;=]{1,64}|[^\s@]{1,64})@)?([^\s@]+)", re.ASCII
)
_SCHEME: Final = re.compile(r"(?:jami:|ring:|sips:|sip:)?(?://)?", re.IGNORECASE)
_ID: Final = re.compile(r"[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class Target:
    """What an address leads to: an account, or a name to be looked up.

    Attributes:
        account: the account itself, when its id was given; then there is nothing to look up.
        name: the name, as typed.
        server: where it is looked up; empty for the account's own name server.
    """

    account: AccountId | None = None
    name: str = ""
    server: str = ""


def parse_address(text: str) -> Target:
    """Return what *text* leads to, read as Jami of 2026 does.

    An id wins over a name: 40 hex digits at the beginning, once the scheme is gone, are an account,
    whatever follows them.

    Raises:
        AddressFormatError: it is no address.

    Source: Jami uri.cpp and namedirectory.cpp, lookupUri.
    """
    return _parse(text, _PATTERN)


def parse_as_13_7(text: str) -> Target:
    """Return what *text* leads to, read as Jami 13.7 does.

    Raises:
        AddressFormatError: it is no address for that generation.
    """
    return _parse(text, _PATTERN_13_7)


def server_url(server: str) -> str:
    """Return the URL of a name server as people write it: `https://` where no scheme is given.

    Raises:
        AddressFormatError: it is no HTTP URL.

    Source: Jami namedirectory.cpp, canonicalName.
    """
    url = server.strip()
    if "://" not in url:
        url = f"https://{url}"
    scheme, _, rest = url.partition("://")
    rest = rest.rstrip("/")
    if scheme.lower() not in {"http", "https"} or not rest or re.search(r"[\s@?#]", rest):
        raise AddressFormatError(f"{server[:80]!r} is no address of a name server")
    return f"{scheme.lower()}://{rest}"


def _parse(text: str, pattern: re.Pattern[str]) -> Target:
    text = text.strip()
    if not text or len(text) > ADDRESS_LENGTH_MAX:
        raise AddressFormatError(f"an address has 1 to {ADDRESS_LENGTH_MAX} characters")
    scheme = _SCHEME.match(text)
    if (found := _ID.match(text, scheme.end() if scheme else 0)) is not None:
        return Target(account=AccountId.from_hex(found[0]))
    parts = pattern.fullmatch(text)
    if parts is None:
        raise AddressFormatError(f"{text[:80]!r} is no address")
    name, rest = parts[2], parts[3]
    return Target(name=rest) if name is None else Target(name=name, server=rest)
