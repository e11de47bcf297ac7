"""The ASGI application: all addresses, and what answers at each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from shoal.core import ShoalError
from shoal.node.errors import TooMuchAskedError
from shoal.web import jami_events, methods
from shoal.web.answers import problem
from shoal.web.endpoints import answering
from shoal.web.errors import NoSuchPageError, NoSuchVerbError
from shoal.web.files import Files
from shoal.web.guard import Guard
from shoal.web.jami_routes import JamiRoutes, check_scope
from shoal.web.openapi import description
from shoal.web.pages import page
from shoal.web.pictures import Pictures
from shoal.web.sessions import Sessions
from shoal.web.socket import Caller, token_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp
    from starlette.websockets import WebSocket

    from shoal.node import Node
    from shoal.web.callers import Callers


class Application:
    """Answers requests for a node.

    Attributes:
        asgi: what a server runs.
        sockets: WebSockets that are open.
    """

    def __init__(self, node: Node, callers: Callers) -> None:
        self.sockets: set[WebSocket] = set()
        self._node = node
        self._callers = callers
        sessions = Sessions(node, callers)
        files = Files(node, callers)
        pictures = Pictures(node, callers)
        starlette = Starlette(
            routes=[
                Route("/", answering(page), methods=["GET"]),
                Route("/static/{path:path}", answering(page), methods=["GET"]),
                Route("/openapi.json", answering(self._describe), methods=["GET"]),
                Route("/v1/session", answering(sessions.open), methods=["POST"]),
                Route("/v1/session", answering(sessions.close), methods=["DELETE"]),
                Route("/v1/qr", answering(sessions.draw), methods=["GET"]),
                Route("/v1/backup", answering(sessions.back_up), methods=["POST"]),
                Route("/v1/files", answering(files.send), methods=["POST"]),
                Route(
                    "/v1/files/{conversation}/{message}",
                    answering(files.get),
                    methods=["GET", "POST"],
                ),
                Route("/v1/pictures/people/{contact}", answering(pictures.person), methods=["GET"]),
                Route(
                    "/v1/pictures/conversations/{conversation}",
                    answering(pictures.conversation),
                    methods=["GET"],
                ),
                WebSocketRoute("/v1/socket", self._socket),
                WebSocketRoute("/api", self._events),
                *JamiRoutes(node, callers).routes(),
                Route("/v1/{method}", answering(self._call), methods=["GET", "POST"]),
            ],
            exception_handlers={HTTPException: _refuse},
        )
        starlette.router.redirect_slashes = False
        self.asgi: ASGIApp = Guard(starlette)

    async def _describe(self, request: Request) -> Response:
        return Response(description(), media_type="application/json")

    async def _call(self, request: Request) -> Response:
        token = self._callers.of(request, asyncio.get_running_loop().time())
        return await methods.call(request, self._node, self._callers, token)

    async def _socket(self, websocket: WebSocket) -> None:
        try:
            now = asyncio.get_running_loop().time()
            token = self._callers.check(token_of(websocket), now)
            if len(self.sockets) >= self._callers.limits.sockets:
                raise TooMuchAskedError
        except ShoalError as error:
            await websocket.send_denial_response(problem(error))
            return
        self.sockets.add(websocket)
        try:
            await Caller(websocket, self._node, self._callers, token).serve()
        finally:
            self.sockets.discard(websocket)

    async def _events(self, websocket: WebSocket) -> None:
        """Tell what happens, as Jami's app access does."""
        try:
            now = asyncio.get_running_loop().time()
            token = self._callers.check(websocket.query_params.get("accessToken", ""), now)
            check_scope(token, jami_events.CONVERSATIONS)
            if len(self.sockets) >= self._callers.limits.sockets:
                raise TooMuchAskedError
        except ShoalError as error:
            await websocket.send_denial_response(problem(error))
            return
        self.sockets.add(websocket)
        try:
            await jami_events.follow(websocket, self._node, self._callers.tokens, token)
        finally:
            self.sockets.discard(websocket)


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer what no address takes."""
    assert isinstance(error, HTTPException), "of no other kind is this told"
    if error.status_code == 405:  # noqa: PLR2004 - HTTP: Method Not Allowed
        refusal: ShoalError = NoSuchVerbError(f"{request.method} is not taken here")
        return problem(refusal, error.headers)
    return problem(NoSuchPageError(f"nothing at {request.url.path[:80]}"))
