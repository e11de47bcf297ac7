"""Answers: JSON, problems, and lines of JSON that come as they happen."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from shoal.web.errors import RateLimitError, TokenMissingError, TokenRefusedError
from shoal.web.problems import MEDIA_TYPE, problem_of

if TYPE_CHECKING:
    from collections.abc import Mapping

LINES: Final = "application/x-ndjson"


class Json(Response):
    """An answer in JSON, as short as it can be."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return *content* as bytes."""
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode(
            errors="surrogatepass"
        )


def nothing() -> Response:
    """Say that it is done, and that there is nothing to say."""
    return Response(status_code=HTTPStatus.NO_CONTENT)


def problem(error: BaseException, headers: Mapping[str, str] | None = None) -> Response:
    """Say what went wrong, and what to do."""
    fields = problem_of(error)
    given = dict(headers or {})
    if isinstance(error, TokenMissingError | TokenRefusedError):
        given["www-authenticate"] = 'Bearer realm="shoal"'
    if isinstance(error, RateLimitError):
        given["retry-after"] = str(error.retry_after)
    data = json.dumps(fields, separators=(",", ":")).encode()
    return Response(data, fields["status"], given, MEDIA_TYPE)


def line(kind: str, value: Any) -> bytes:
    """Return one line of an answer that comes piece by piece."""
    return json.dumps({kind: value}, separators=(",", ":")).encode() + b"\n"
