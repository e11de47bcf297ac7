"""Files by HTTP: a body that becomes a file of a conversation, and one that is fetched.

What is sent is kept in the home, since others fetch it from there. What comes is never shown as a
page of ours: it is handed out as a download, whatever it says to be.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse

from shoal.core import CommitId
from shoal.node.driver.news import message_to_json
from shoal.node.errors import ParametersError
from shoal.web.answers import Json
from shoal.web.errors import BodyFormatError, BodyTooLargeError, NoSuchPageError, TooLongError
from shoal.web.scopes import check_permitted
from shoal.web.sessions import text_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from shoal.node import Node
    from shoal.web.callers import Callers

FOLDER: Final = "sent-files"
NAME_MAX: Final = 200  # bytes of a file's name; ours: file systems take 255
CHUNK: Final = 1024 * 1024  # bytes that are written at once; ours
_MODE: Final = 0o700


class Files:
    """The endpoints."""

    def __init__(self, node: Node, callers: Callers) -> None:
        self._node = node
        self._callers = callers

    async def send(self, request: Request) -> Response:
        """Keep the body as a file, and offer it in a conversation.

        Raises:
            BodyTooLargeError: it is larger than we take.
            ShoalError: as `Conversation.send_file`.
        """
        token = self._callers.of(request, asyncio.get_running_loop().time())
        fields = dict(request.query_params)
        check_permitted(token.scopes, token.account, "file.send", fields)
        account = self._node.accounts[text_of(fields, "account")]
        conversation = account.conversations[text_of(fields, "conversation")]
        name = _checked(text_of(fields, "name"))
        reply = fields.get("reply_to")
        reply_to = CommitId.from_hex(reply) if reply else None
        folder = self._node.home / FOLDER / secrets.token_hex(8)
        await asyncio.to_thread(folder.mkdir, _MODE, parents=True)
        try:
            await self._keep(request, folder / name)
            message = await conversation.send_file(folder / name, name=name, reply_to=reply_to)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        return Json(message_to_json(message))

    async def get(self, request: Request) -> Response:
        """Hand out a file that is here; asked by POST, one that is fetched first if it is not.

        To fetch changes what is here, so a token that may only read does not make us.

        Raises:
            NoSuchPageError: it is not here.
            TooLongError: nobody who has it is online; it goes on when somebody is.
            ShoalError: as `Conversation.download`.
        """
        token = self._callers.of(request, asyncio.get_running_loop().time())
        fields = {**request.query_params, **request.path_params}
        may_fetch = request.method == "POST"
        for each in ("file.show", *(["file.get"] if may_fetch else [])):
            check_permitted(token.scopes, token.account, each, fields)
        account = self._node.accounts[text_of(fields, "account")]
        conversation = account.conversations[text_of(fields, "conversation")]
        message = CommitId.from_hex(text_of(fields, "message"))
        path = await account.transfers.path(conversation.id, message)
        if path is None and may_fetch:
            await conversation.download(message)
            try:
                async with asyncio.timeout(self._callers.limits.call_seconds):
                    await account.transfers.wait(message)
            except TimeoutError:
                raise TooLongError("nobody who has the file is online") from None
            path = await account.transfers.path(conversation.id, message)
        if path is None:
            raise NoSuchPageError("the file is not here; POST to this address fetches it")
        called = quote(fields.get("name") or path.name, safe="")
        disposition = {"content-disposition": f"attachment; filename*=UTF-8''{called}"}
        return FileResponse(path, headers=disposition, media_type="application/octet-stream")

    async def _keep(self, request: Request, path: Path) -> None:
        size, most = 0, self._callers.limits.file_size
        pending = bytearray()
        file = await asyncio.to_thread(os.open, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise BodyTooLargeError(f"a file of more than {most} bytes")
                pending += chunk
                if len(pending) >= CHUNK:
                    await asyncio.to_thread(_write, file, bytes(pending))
                    pending.clear()
            await asyncio.to_thread(_write, file, bytes(pending))
        except ClientDisconnect as error:
            raise BodyFormatError("the body ends too early") from error
        finally:
            os.close(file)


def _checked(name: str) -> str:
    """Return a name that a file can have, and that leads nowhere else.

    Raises:
        ParametersError: it is none.
    """
    is_plain = name == PurePosixPath(name).name and name not in {"", ".", ".."}
    if not is_plain or "\0" in name or "\\" in name or len(os.fsencode(name)) > NAME_MAX:
        raise ParametersError("name is that of a file, without folders", "ParametersError")
    return name


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
