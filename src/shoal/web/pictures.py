"""Pictures of people and of conversations: as others have sent them, and only what shows as one.

A picture counts by its first bytes (`shoal.swarm.vcards`), PNG, JPEG, GIF or WebP of bounded size,
and is served as that: what others call it is not believed, and none is text that a browser runs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import Response

from shoal.node.driver.ids import account_of
from shoal.web.answers import nothing
from shoal.web.scopes import check_permitted
from shoal.web.sessions import text_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from shoal.node import Account, Node
    from shoal.swarm import VCard
    from shoal.web.callers import Callers


class Pictures:
    """The endpoints."""

    def __init__(self, node: Node, callers: Callers) -> None:
        self._node = node
        self._callers = callers

    async def person(self, request: Request) -> Response:
        """Show somebody, ourselves too; nothing if there is no picture.

        Raises:
            ShoalError: as `Profiles.card`.
        """
        account, name = self._asked(request, "contact")
        return _shown(await account.profiles.card(account_of(name)))

    async def conversation(self, request: Request) -> Response:
        """Show what a group looks like; nothing if there is no picture.

        Raises:
            ShoalError: as `Conversation.profile`.
        """
        account, name = self._asked(request, "conversation")
        conversation = account.conversations[name]
        if not conversation.has_picture:
            return nothing()
        return _shown(await conversation.profile())

    def _asked(self, request: Request, kind: str) -> tuple[Account, str]:
        """Return whose account asks, and for whom, if the token permits it."""
        token = self._callers.of(request, asyncio.get_running_loop().time())
        fields = {**request.query_params, **request.path_params}
        check_permitted(token.scopes, token.account, f"{kind}.profile", fields)
        return self._node.accounts[text_of(fields, "account")], text_of(fields, kind)


def _shown(card: VCard) -> Response:
    if not card.picture_type:
        return nothing()  # no mistake of who asks: it may have been taken away just now
    return Response(card.picture, media_type=f"image/{card.picture_type.lower()}")
