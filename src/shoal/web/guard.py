"""What stands before every request: the right host, no foreign page, and headers that say so.

Nothing here acts by itself in a browser: there are no cookies, and a token is sent by a program
or by our page, in a header that no other site's page can set without being asked first (CORS),
which is always answered with no.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from shoal.web.answers import problem
from shoal.web.errors import ForeignHostError, ForeignOriginError
from shoal.web.pages import script_hashes

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OUR_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
POLICY: Final = (
    f"default-src 'none'; script-src 'self' {script_hashes()};"
    " style-src 'self'; img-src 'self' blob: data:;"
    " media-src 'self' blob:; font-src 'self'; connect-src 'self'; manifest-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """Refuses what does not come from this machine's own programs and our own page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            check_source(Headers(scope=scope), _port_of(scope), is_page=_is_page(scope))
        except (ForeignHostError, ForeignOriginError) as error:
            await problem(error)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


def check_source(headers: Headers, port: int, *, is_page: bool) -> None:
    """Let a request through that our page or a program sends, by an address of this machine.

    Args:
        headers: those of the request.
        port: the one that it came in by.
        is_page: it asks for the page or a part of it, which links elsewhere may lead to.

    Raises:
        ForeignHostError: it was sent to another name: a site that leads its name to this machine.
        ForeignOriginError: another site's page sent it.
    """
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not _is_ours(f"http://{hosts[0]}", port):
        raise ForeignHostError(f"we are not {', '.join(hosts)[:80] or 'nobody'}")
    for origin in headers.getlist("origin"):
        if not _is_ours(origin, port) or urlsplit(origin).netloc != hosts[0]:
            raise ForeignOriginError(f"a page of {origin[:80]} asks")
    site = headers.get("sec-fetch-site", "none")
    if site not in {"none", "same-origin"} and not is_page:
        raise ForeignOriginError(f"a page asks that is {site[:20]}")


def _is_ours(origin: str, port: int) -> bool:
    try:
        parts = urlsplit(origin)
        given = 80 if parts.port is None else parts.port
    except ValueError:
        return False
    is_plain = parts.scheme == "http" and not parts.path and parts.username is None
    return is_plain and parts.hostname in OUR_HOSTS and given == port


def _port_of(scope: Scope) -> int:
    server = scope.get("server")
    return server[1] if server and server[1] else 0


def _is_page(scope: Scope) -> bool:
    path: str = scope["path"]
    is_navigation = scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}
    return is_navigation and not path.startswith(("/v1", "/api"))
