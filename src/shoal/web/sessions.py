"""What our page needs beside the methods: a session, a QR code, a backup to keep."""

from __future__ import annotations

import asyncio
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import Response

from shoal.node.errors import ParametersError
from shoal.web.answers import Json, nothing
from shoal.web.errors import LinkUsedError
from shoal.web.scopes import check_permitted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from shoal.node import Node
    from shoal.web.callers import Callers

QR_TEXT_MAX: Final = 1024  # characters; ours: an address for linking takes 100


class Sessions:
    """Endpoints for our page."""

    def __init__(self, node: Node, callers: Callers) -> None:
        self._node = node
        self._callers = callers

    async def open(self, request: Request) -> Response:
        """Give a token for the code of a one-time link.

        Raises:
            LinkUsedError: it was used already, or is too old.
            RateLimitError: too many guesses.
        """
        now = asyncio.get_running_loop().time()
        code = text_of(await self._callers.json(request), "code")
        try:
            token, _ = self._callers.tokens.open_session(code, now)
        except LinkUsedError:
            self._callers.failed(now)
            raise
        return Json({"token": token})

    async def close(self, request: Request) -> Response:
        """End the session whose token this is; tokens that were made to last stay."""
        token = self._callers.of(request, asyncio.get_running_loop().time())
        self._callers.tokens.close_session(token)
        return nothing()

    async def draw(self, request: Request) -> Response:
        """Draw a text as a QR code, in SVG."""
        import segno  # noqa: PLC0415 - few pages draw one

        self._callers.of(request, asyncio.get_running_loop().time())
        text = text_of(dict(request.query_params), "text")
        if not 0 < len(text) <= QR_TEXT_MAX:
            raise ParametersError(f"text has 1 to {QR_TEXT_MAX} characters", "ParametersError")
        try:
            code = segno.make(text, error="m", micro=False)
        except segno.DataOverflowError as error:  # few characters, of many bytes each
            raise ParametersError("text is too long for a QR code", "ParametersError") from error
        drawing = io.BytesIO()
        code.save(
            drawing, kind="svg", border=2, dark="#000", light="#fff", xmldecl=False, omitsize=True
        )
        return Response(drawing.getvalue(), media_type="image/svg+xml")

    async def back_up(self, request: Request) -> Response:
        """Give the archive of an account, to be kept by the user.

        Raises:
            ScopeMissingError: the token does not permit it.
            ShoalError: as `Account.export`.
        """
        token = self._callers.of(request, asyncio.get_running_loop().time())
        fields = await self._callers.json(request)
        name, password = text_of(fields, "account"), fields.get("password")
        if password is not None and not isinstance(password, str):
            raise ParametersError("password is text", "ParametersError")
        check_permitted(token.scopes, token.account, "account.back_up", fields)
        account = self._node.accounts[name]
        with tempfile.TemporaryDirectory(dir=self._node.home, prefix="backup-") as folder:
            path = Path(folder) / "archive"
            await account.export(path, password=password)
            data = await asyncio.to_thread(path.read_bytes)
        called = quote(f"{account.name or account.id.hex()[:8]}.jac", safe="")
        disposition = {"content-disposition": f"attachment; filename*=UTF-8''{called}"}
        return Response(data, headers=disposition, media_type="application/octet-stream")


def text_of(fields: Mapping[str, object], name: str) -> str:
    """Return the text that is a field of *fields*.

    Raises:
        ParametersError: it is missing, or no text.
    """
    text = fields.get(name)
    if not isinstance(text, str):
        raise ParametersError(f"this takes {name!r}, a text", "ParametersError")
    return text
