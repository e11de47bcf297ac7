"""Errors as HTTP has them: problem details (RFC 9457) that name what to do.

`error` is the same text as `detail`, under the name that clients of Jami's app access look for.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Final

from shoal.node.driver.api.failures import failure_of

_log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:shoal:error:"
# By the name of the error's class, or of the nearest of its bases: what a status is for all below.
_STATUS: Final = {
    "AccountExistsError": HTTPStatus.CONFLICT,
    "AccountFileError": HTTPStatus.INTERNAL_SERVER_ERROR,
    "ArchivePasswordError": HTTPStatus.FORBIDDEN,
    "BadNameAnswerError": HTTPStatus.BAD_GATEWAY,
    "BodyFormatError": HTTPStatus.BAD_REQUEST,
    "BodyTooLargeError": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "BodyTypeError": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "ConnectError": HTTPStatus.BAD_GATEWAY,
    "DecodeError": HTTPStatus.BAD_REQUEST,
    "ForeignHostError": HTTPStatus.MISDIRECTED_REQUEST,
    "ForeignOriginError": HTTPStatus.FORBIDDEN,
    "LinkUsedError": HTTPStatus.FORBIDDEN,
    "LyingNameServerError": HTTPStatus.BAD_GATEWAY,
    "NameNotFoundError": HTTPStatus.NOT_FOUND,
    "NameServerUnavailableError": HTTPStatus.BAD_GATEWAY,
    "NamesMissingError": HTTPStatus.NOT_IMPLEMENTED,
    "NoSuchConversationError": HTTPStatus.NOT_FOUND,
    "NoSuchPageError": HTTPStatus.NOT_FOUND,
    "NoSuchVerbError": HTTPStatus.METHOD_NOT_ALLOWED,
    "NodeStoppedError": HTTPStatus.SERVICE_UNAVAILABLE,
    "NotAMemberError": HTTPStatus.NOT_FOUND,
    "NotAnAdminError": HTTPStatus.FORBIDDEN,
    "NotEditableError": HTTPStatus.FORBIDDEN,
    "NotReactedError": HTTPStatus.NOT_FOUND,
    "NotPermittedError": HTTPStatus.FORBIDDEN,
    "ObjectMissingError": HTTPStatus.NOT_FOUND,
    "ParametersError": HTTPStatus.BAD_REQUEST,
    "PayloadTooLargeError": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "RateLimitError": HTTPStatus.TOO_MANY_REQUESTS,
    "RepositoryError": HTTPStatus.INTERNAL_SERVER_ERROR,
    "ScopeMissingError": HTTPStatus.FORBIDDEN,
    "SubscriptionsError": HTTPStatus.TOO_MANY_REQUESTS,
    "TimeoutError": HTTPStatus.GATEWAY_TIMEOUT,
    "TokenFileError": HTTPStatus.INTERNAL_SERVER_ERROR,
    "TokenMissingError": HTTPStatus.UNAUTHORIZED,
    "TokenRefusedError": HTTPStatus.UNAUTHORIZED,
    "TooLongError": HTTPStatus.GATEWAY_TIMEOUT,
    "FileMissingError": HTTPStatus.NOT_FOUND,
    "TooManyTokensError": HTTPStatus.CONFLICT,
    "TooMuchAskedError": HTTPStatus.TOO_MANY_REQUESTS,
    "UnknownAccountError": HTTPStatus.NOT_FOUND,
    "UnknownContactError": HTTPStatus.NOT_FOUND,
    "UnknownDeviceError": HTTPStatus.NOT_FOUND,
    "UnknownMethodError": HTTPStatus.NOT_FOUND,
    "UnknownNameError": HTTPStatus.NOT_FOUND,
    "UnknownRequestError": HTTPStatus.NOT_FOUND,
    "UnknownScopeError": HTTPStatus.BAD_REQUEST,
    "UnknownTokenError": HTTPStatus.NOT_FOUND,
    "ShoalError": HTTPStatus.UNPROCESSABLE_ENTITY,  # what the state of things does not allow
}
STATUSES: Final = sorted({*_STATUS.values(), HTTPStatus.SERVICE_UNAVAILABLE})


def status_of(error: BaseException) -> HTTPStatus:
    """Return the status that goes with *error*."""
    if isinstance(error, asyncio.CancelledError):
        return HTTPStatus.SERVICE_UNAVAILABLE
    for each in type(error).__mro__:
        if each.__name__ in _STATUS:
            return _STATUS[each.__name__]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def problem_of(error: BaseException) -> dict[str, Any]:
    """Return *error* as problem details; what is no error of ours keeps its details to itself."""
    failure = failure_of(0, error)
    status = status_of(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("! web: %s", failure.kind, exc_info=error)
    return {
        "type": f"{TYPE_PREFIX}{failure.kind}",
        "title": status.phrase,
        "status": int(status),
        "detail": failure.message,
        "error": failure.message,
        "advice": failure.advice,
        "data": dict(failure.data),
    }
