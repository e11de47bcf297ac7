"""Methods of the node by HTTP: `GET /v1/account.list`, `POST /v1/conversation.send`.

Those that change nothing take their parameters from the query; the others take one JSON object.
Those that report while they work answer in lines: `{"item": …}` any number of times, then
`{"result": …}` or `{"error": …}`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import StreamingResponse

from shoal.node.driver.api.registry import METHODS, load, run
from shoal.node.errors import ParametersError, UnknownMethodError
from shoal.web.answers import LINES, Json, line
from shoal.web.errors import NoSuchVerbError, TooLongError
from shoal.web.problems import problem_of
from shoal.web.scopes import check_permitted, is_offered, is_reading

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response

    from shoal.node import Node
    from shoal.node.driver.api.registry import Method
    from shoal.web.callers import Callers
    from shoal.web.tokens import Token

_WORDS: Final = {"true": True, "false": False}
_DIGITS_MAX: Final = 32  # of a number in a query; ours


def verb_of(method: Method) -> str:
    """Return the HTTP method by which *method* is called."""
    return "GET" if is_reading(method.name) else "POST"


def method_of(name: str) -> Method:
    """Return the method called *name*, if it is offered.

    Raises:
        UnknownMethodError: it is not.
    """
    load()
    method = METHODS[name]
    if not is_offered(method):
        raise UnknownMethodError(f"{name} is for commands on this machine", "UnknownMethodError")
    return method


async def call(request: Request, node: Node, callers: Callers, token: Token) -> Response:
    """Answer a request that calls a method.

    Raises:
        ShoalError: whatever the method raises.
    """
    method = method_of(request.path_params["method"])
    if request.method.replace("HEAD", "GET") != verb_of(method):
        raise NoSuchVerbError(f"{method.name} is called by {verb_of(method)}")
    if is_reading(method.name):
        params = read_query(method, request.query_params)
    else:
        params = await callers.json(request)
    check_permitted(token.scopes, token.account, method.name, params)
    stream = run(node, method.name, params)
    if method.is_stream:
        return await _in_lines(stream)
    async with contextlib.aclosing(stream):
        return Json(await first_of(stream, callers.limits.call_seconds))


async def first_of(stream: AsyncIterator[tuple[str, Any]], seconds: float) -> Any:
    """Return the first thing that a call gives.

    Raises:
        TooLongError: there is none in time.
        ShoalError: what the method raises.
    """
    try:
        async with asyncio.timeout(seconds) as timer:
            _, value = await anext(stream)
    except TimeoutError:
        if timer.expired():
            raise TooLongError(f"no result within {seconds:g} seconds") from None
        raise
    return value


def read_query(method: Method, query: QueryParams) -> dict[str, Any]:
    """Return the parameters in a query, as the method has them.

    Raises:
        ParametersError: one is given twice, or is of the wrong kind.
    """
    kinds = {each.name: each.kind for each in method.parameters}
    params: dict[str, Any] = {}
    for name, text in query.multi_items():
        if name in params:
            raise ParametersError(f"{name[:80]!r} is given twice", "ParametersError")
        params[name] = _value(name, text, kinds.get(name, "str").removesuffix(" | None"))
    return params


def _value(name: str, text: str, kind: str) -> Any:
    if kind == "bool" and text in _WORDS:
        return _WORDS[text]
    if kind == "str":
        return text
    if kind in {"int", "float"} and len(text) <= _DIGITS_MAX and text.isascii():
        with contextlib.suppress(ValueError):
            number = int(text) if kind == "int" else float(text)
            if number == number and abs(number) != float("inf"):  # noqa: PLR0124 - NaN differs
                return number
    raise ParametersError(f"{name} is of kind {kind}", "ParametersError")


async def _in_lines(stream: AsyncGenerator[tuple[str, Any], None]) -> Response:
    """Answer in lines; what fails before the first one has a status of its own."""
    try:
        first = await anext(stream)
    except BaseException:
        await stream.aclose()
        raise

    async def lines() -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(stream):
            yield line(*first)
            try:
                async for kind, value in stream:
                    yield line(kind, value)
            except Exception as error:  # noqa: BLE001 - it has begun; the rest is said in a line
                yield line("error", problem_of(error))

    return StreamingResponse(lines(), media_type=LINES)
