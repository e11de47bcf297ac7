"""Endpoints: what a request without a token is told, and how errors become answers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from shoal.web.answers import problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    Endpoint = Callable[[Request], Awaitable[Response]]


def answering(endpoint: Endpoint) -> Endpoint:
    """Make *endpoint* answer with a problem where it raises."""

    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:  # noqa: BLE001 - a request ends here; the caller is told
            return problem(error)

    return answer
