"""What a request asks for: method and target to a route, or to the error that Jami understands.

Jami tells three kinds of failure apart by the status alone: 400 is a bad name, any other 4xx "not
found" of a lookup and "taken" of a registration, 5xx and silence a network error. So whatever is
temporary must be a 5xx here, rate limits too, whatever HTTP has special numbers for.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias
from urllib.parse import unquote

from shoal.core.records import dataclass

TARGET_LENGTH_MAX: Final = 512  # bytes; ours: a name, percent-encoded, takes 96

Field: TypeAlias = Literal["publickey", "signature", "owner"]
PageName: TypeAlias = Literal["/metrics", "/healthz", "/openapi.json"]
_FIELDS: Final[dict[str, Field]] = {
    "publickey": "publickey",
    "signature": "signature",
    "owner": "owner",
}
_PAGES: Final[dict[str, PageName]] = {
    "/metrics": "/metrics",
    "/healthz": "/healthz",
    "/openapi.json": "/openapi.json",
}


@dataclass(frozen=True, slots=True)
class FindName:
    """Who has this name? The whole record, or one field of it."""

    name: str
    field: Field | None = None


@dataclass(frozen=True, slots=True)
class FindAccount:
    """Which name has this account?"""

    account: str


@dataclass(frozen=True, slots=True)
class RegisterName:
    """Register this name, as the body says."""

    name: str


@dataclass(frozen=True, slots=True)
class FindRegistration:
    """How far is the registration of this name? Ours, not JamiNS's."""

    name: str


@dataclass(frozen=True, slots=True)
class GetPage:
    """Something about the server itself."""

    path: PageName


@dataclass(frozen=True, slots=True)
class NoRoute:
    """There is nothing here, or not for this method.

    Attributes:
        allowed: methods that there are something for; empty where there is nothing at all.
    """

    allowed: tuple[str, ...] = ()


Route: TypeAlias = FindName | FindAccount | RegisterName | FindRegistration | GetPage | NoRoute


def route(method: str, target: str) -> Route:
    """Return what *method* (HEAD counts as GET) asks of *target*: a path, maybe with a query."""
    if len(target) > TARGET_LENGTH_MAX:
        return NoRoute()
    path = target.partition("?")[0]
    if method == "HEAD":
        method = "GET"
    match path.split("/"):
        case ["", "name", name]:
            name = unquote(name)
            if method == "GET":
                return FindName(name)
            return RegisterName(name) if method == "POST" else NoRoute(("GET", "HEAD", "POST"))
        case ["", "name", name, field] if field in _FIELDS:
            found: Route = FindName(unquote(name), _FIELDS[field])
        case ["", "addr", account]:
            found = FindAccount(unquote(account))
        case ["", "registration", name]:
            found = FindRegistration(unquote(name))
        case _ if path in _PAGES:
            found = GetPage(_PAGES[path])
        case _:
            return NoRoute()
    return found if method == "GET" else NoRoute(("GET", "HEAD"))
