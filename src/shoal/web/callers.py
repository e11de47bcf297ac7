"""Who calls: the token of a request, what it permits, and how often it may."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from shoal.web.errors import (
    BodyFormatError,
    BodyTooLargeError,
    BodyTypeError,
    RateLimitError,
    TokenMissingError,
    TokenRefusedError,
)
from shoal.web.limits import Bucket, Buckets

if TYPE_CHECKING:
    from starlette.requests import Request

    from shoal.web.config import WebLimits
    from shoal.web.tokens import Token, TokenBook


class Callers:
    """Checks tokens, and counts requests.

    Attributes:
        tokens: those that are valid.
        limits: what callers may use.
    """

    def __init__(self, tokens: TokenBook, limits: WebLimits) -> None:
        self.tokens = tokens
        self.limits = limits
        self._requests = Buckets(limits.requests_per_second, limits.requests_burst)
        self._failures = Bucket(limits.failures_per_second, limits.failures_burst)

    def of(self, request: Request, now: float) -> Token:
        """Return the token of a request.

        Raises:
            TokenMissingError: there is none.
            TokenRefusedError: it is not valid.
            RateLimitError: too many requests, of this token or with wrong ones.
            TokenFileError: the file of tokens cannot be read.
        """
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not text.strip():
            raise TokenMissingError("this takes a token")
        return self.check(text.strip(), now)

    def check(self, text: str, now: float) -> Token:
        """Return what is known about the token *text*, and count the request.

        Raises:
            TokenRefusedError: it is not valid.
            RateLimitError: too many requests, of this token or with wrong ones.
            TokenFileError: the file of tokens cannot be read.
        """
        try:
            token = self.tokens.check(text)
        except TokenRefusedError:
            self.failed(now)
            raise
        self.count(token, now)
        return token

    def count(self, token: Token, now: float) -> None:
        """Count a request of *token*.

        Raises:
            RateLimitError: these are too many.
        """
        if wait := self._requests.take(token.id, now):
            raise _too_many(wait)

    def failed(self, now: float) -> None:
        """Count a guess.

        Raises:
            RateLimitError: these are too many.
        """
        if wait := self._failures.take(now):
            raise _too_many(wait)

    async def body(self, request: Request) -> bytes:
        """Return the body of a request.

        Raises:
            BodyTooLargeError: it is larger than we take.
            BodyFormatError: the caller hung up in the middle of it.
        """
        most = self.limits.body_size
        data = bytearray()
        try:
            async for chunk in request.stream():
                data += chunk
                if len(data) > most:
                    raise BodyTooLargeError(f"a body of more than {most} bytes")
        except ClientDisconnect as error:
            raise BodyFormatError("the body ends too early") from error
        return bytes(data)

    async def json(self, request: Request) -> dict[str, Any]:
        """Return the body of a request, which is an object in JSON; an absent one is empty.

        Raises:
            BodyTypeError: it says to be something else.
            BodyTooLargeError: it is larger than we take.
            BodyFormatError: it is no object.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        data = await self.body(request)
        if not data:
            return {}
        if kind != "application/json":
            raise BodyTypeError(f"a body of type {kind[:80] or 'unknown'}")
        return parse_object(data)


def parse_object(data: bytes) -> dict[str, Any]:
    """Return the object that *data* is in JSON.

    Raises:
        BodyFormatError: it is none.
    """
    try:
        fields = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BodyFormatError(f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise BodyFormatError("not an object")
    if not _is_text(fields):
        raise BodyFormatError("text that is no Unicode")
    return fields


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number that JSON has")


def _is_text(value: object) -> bool:
    """Whether all text in *value* can be written down: JSON can name halves of characters."""
    match value:
        case str():
            return value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)
        case dict():
            return all(_is_text(key) and _is_text(each) for key, each in value.items())
        case list():
            return all(map(_is_text, value))
        case _:
            return True


def _too_many(wait: float) -> RateLimitError:
    return RateLimitError("too many requests", math.ceil(wait))
