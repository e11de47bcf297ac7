"""Answers of a name server, in the statuses and words that Jami's clients understand."""

from __future__ import annotations

from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Final

from shoal.names.effects import Response
from shoal.names.wire import HEX_PREFIX, to_json

if TYPE_CHECKING:
    from shoal.core import AccountId

RETRY_PENDING: Final = 5  # seconds; ours: what is pending is mostly done by then
RETRY_CHAIN_AWAY: Final = 30  # seconds; ours

# What a machine can tell failures apart by, beyond the status; Shoal's client does.
PENDING: Final = "pending"
BUSY: Final = "busy"
READ_ONLY: Final = "read-only"
TAKEN: Final = "taken"
NAMED: Final = "named"

SUCCESS: Final = Response(HTTPStatus.OK, to_json({"success": True}))
NAME_NOT_FOUND: Final = Response(HTTPStatus.NOT_FOUND, to_json({"error": "name not registered"}))
ACCOUNT_NOT_FOUND: Final = Response(
    HTTPStatus.NOT_FOUND, to_json({"error": "address not registered"})
)
NO_SUCH_PAGE: Final = Response(HTTPStatus.NOT_FOUND, to_json({"error": "no such page"}))
NOT_READY: Final = Response(
    HTTPStatus.SERVICE_UNAVAILABLE,
    to_json({"error": "the server has not read the chain yet; try again later"}),
    retry_after=RETRY_PENDING,
)


def found(answer: bytes) -> Response:
    """Answer a lookup."""
    return Response(HTTPStatus.OK, answer)


def bad_lookup(problem: str) -> Response:
    """Answer a lookup of what cannot be a name or an id."""
    return Response(HTTPStatus.BAD_REQUEST, to_json({"error": problem}))


def not_allowed(methods: tuple[str, ...]) -> Response:
    """Answer a method that there is nothing for."""
    body = to_json({"error": f"only {', '.join(methods)} here"})
    return Response(HTTPStatus.METHOD_NOT_ALLOWED, body, allowed=methods)


def incomplete(problem: str) -> Response:
    """Answer a registration whose name or body is malformed."""
    return _failure(HTTPStatus.BAD_REQUEST, problem)


def unproven(problem: str) -> Response:
    """Answer a registration whose key or signature does not prove the account."""
    return _failure(HTTPStatus.UNAUTHORIZED, problem)


def taken(account: AccountId) -> Response:
    """Answer a registration of a name that another account has."""
    return _failure(
        HTTPStatus.FORBIDDEN, "name already taken", code=TAKEN, addr=HEX_PREFIX + str(account)
    )


def other_owner(account: AccountId, owner: bytes) -> Response:
    """Answer a registration of a name that the account has, for another owner than it has."""
    return _failure(
        HTTPStatus.FORBIDDEN,
        "name already registered with another owner",
        code=TAKEN,
        addr=HEX_PREFIX + str(account),
        owner=HEX_PREFIX + owner.hex(),
    )


def named(name: str) -> Response:
    """Answer a registration for an account that has another name."""
    return _failure(HTTPStatus.FORBIDDEN, "account already has a name", code=NAMED, name=name)


def refused(reason: str) -> Response:
    """Answer a registration that the chain refused, in its words."""
    return _failure(HTTPStatus.FORBIDDEN, f"the registry refuses: {reason}")


def pending(problem: str, retry_after: int) -> Response:
    """Answer a registration that is kept and will be carried out."""
    return _temporary(f"{problem}; the request is kept, ask again later", PENDING, retry_after)


def busy(problem: str, wait: float) -> Response:
    """Answer what is beyond a limit; nothing is kept."""
    return _temporary(problem, BUSY, max(ceil(wait), 1))


def read_only() -> Response:
    """Answer a registration at a mirror: a 5xx, and not a temporary one."""
    return _failure(HTTPStatus.NOT_IMPLEMENTED, "this is a read-only mirror", code=READ_ONLY)


def _temporary(problem: str, code: str, retry_after: int) -> Response:
    body = {"success": False, "error": problem, "code": code}
    return Response(HTTPStatus.SERVICE_UNAVAILABLE, to_json(body), retry_after=retry_after)


def _failure(status: HTTPStatus, problem: str, **fields: str) -> Response:
    return Response(status, to_json({"success": False, "error": problem, **fields}))
