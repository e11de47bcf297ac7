"""Errors of the web room. Each docstring is what people are shown: what happened, and what to do.

WebError
├── WebBindError            the port cannot be had
├── TokenFileError          the file of tokens cannot be read or written
├── TooManyTokensError      there are as many tokens as allowed
├── UnknownTokenError       there is no such token
├── UnknownScopeError       nothing of this name can be permitted
├── TokenMissingError       the request carries no token
├── TokenRefusedError       the token is not, or no longer, valid
├── ScopeMissingError       the token does not permit this
├── LinkUsedError           the link was used already, or is too old
├── ForeignHostError        the request names a host that we are not
├── ForeignOriginError      another site's page asks
├── BodyTooLargeError       the request is larger than we take
├── BodyTypeError           the request's body is not of the kind that we take
├── BodyFormatError         the request's body cannot be understood
├── RateLimitError          too many requests
├── NoSuchPageError         there is nothing under this address
├── NoSuchVerbError         the address does not take this kind of request
└── TooLongError            the call took too long
"""

from __future__ import annotations

from shoal.core import ShoalError


class WebError(ShoalError):
    """Base of the web's errors."""


class WebBindError(WebError):
    """The port cannot be had. Name another one, or stop the program that has it."""


class TokenFileError(WebError):
    """The file of tokens cannot be read or written. Check its owner, and the disk."""


class TooManyTokensError(WebError):
    """There are as many tokens as allowed. Revoke some: `shoal token revoke`."""


class UnknownTokenError(WebError):
    """There is no such token. `shoal token list` shows those that are."""


class UnknownScopeError(WebError):
    """Nothing of this name can be permitted. `shoal token new --help` lists what can."""


class TokenMissingError(WebError):
    """The request carries no token. Send one, of `shoal token new`: `Authorization: Bearer …`."""


class TokenRefusedError(WebError):
    """The token is not, or no longer, valid. Make a new one with `shoal token new`."""


class ScopeMissingError(WebError):
    """The token does not permit this. Make one that does: `shoal token new --scope …`."""


class LinkUsedError(WebError):
    """The link was used already, or is too old. `shoal up` prints a new one."""


class ForeignHostError(WebError):
    """The request names a host that we are not. Use the address that `shoal up` prints."""


class ForeignOriginError(WebError):
    """A page of another site asks, and none may. Call from a program, not from a page."""


class BodyTooLargeError(WebError):
    """The request is larger than we take. Send less at once."""


class BodyTypeError(WebError):
    """The request's body is not of the kind that we take. Send `Content-Type: application/json`."""


class BodyFormatError(WebError):
    """The request's body cannot be understood. Send one JSON object, in UTF-8."""


class RateLimitError(WebError):
    """Too many requests in a short time. Wait as long as `Retry-After` says, then go on.

    Attributes:
        retry_after: seconds to wait.
    """

    def __init__(self, message: str = "", retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NoSuchPageError(WebError):
    """There is nothing under this address. `/openapi.json` lists what there is."""


class NoSuchVerbError(WebError):
    """The address does not take this kind of request. `/openapi.json` says which it takes."""


class TooLongError(WebError):
    """The call took too long, and was ended. Try again, or call over the WebSocket."""
