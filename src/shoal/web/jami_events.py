"""Jami's app access: what happens, on a WebSocket at `/api?accessToken=TOKEN`.

Each message is `{"type": …, "data": …}`; what callers send is not read. Who may only read
conversations hears of these alone: each type takes the scope of what it tells of. A caller that
reads slowly loses events, and is told so by one of type `lagged`, which Jami does not have.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from starlette.websockets import WebSocketDisconnect

from shoal.node import Lagged
from shoal.node import events as ev
from shoal.node.driver.news import (
    MessageEdited,
    MessageReacted,
    MessageTaken,
    MessageUnreacted,
    take_apart,
)
from shoal.swarm.effects import ConversationGone, ConversationReady, MembersChanged, RequestArrived
from shoal.web import jami_shapes as shapes
from shoal.web.scopes import EVERYTHING
from shoal.web.socket import end_with_token, is_still_valid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.websockets import WebSocket

    from shoal.node import Account, Node
    from shoal.node.driver.bus import Subscription
    from shoal.web.tokens import Token, TokenBook

CONVERSATIONS: Final = "conversations:read"  # what it takes to listen at all
_SCOPES: Final = {  # of types that tell of something else
    "accountStatusChanged": "accounts:read",
    "contactAdded": "contacts:read",
    "contactRemoved": "contacts:read",
}


async def follow(websocket: WebSocket, node: Node, tokens: TokenBook, token: Token) -> None:
    """Send what happens, to the token's account or to all, until the caller goes."""
    await websocket.accept()
    with node.events() as events:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_send(websocket, node, tokens, token, events))
            watch = tasks.create_task(end_with_token(websocket, tokens, token))
            with contextlib.suppress(WebSocketDisconnect):
                while True:
                    await websocket.receive()
                    if websocket.client_state.name == "DISCONNECTED":
                        break
            sending.cancel()
            watch.cancel()


async def _send(
    websocket: WebSocket, node: Node, tokens: TokenBook, token: Token, events: Subscription
) -> None:
    async for each in events:
        if not is_still_valid(tokens, token):
            await end_with_token(websocket, tokens, token)
            return
        if isinstance(each, Lagged):
            found = iter([("lagged", {"first": each.first, "last": each.last})])
        else:
            who = getattr(each.event, "account", None)
            if (
                who is None
                or (token.account and who.hex() != token.account)
                or who not in _ids(node)
            ):
                continue
            found = told(node.accounts[who.hex()], each.event)
        for kind, data in found:
            if not _may_hear(token, kind):
                continue
            try:
                await websocket.send_text(json.dumps({"type": kind, "data": data}))
            except (WebSocketDisconnect, RuntimeError):
                return


def told(account: Account, event: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what Jami's clients are told of an event: types and data."""
    own = {"accountId": account.id.hex()}
    match event:
        case ev.AccountStateChanged() | ev.AccountNamed():
            yield "accountStatusChanged", own
        case ev.ContactChanged(_, peer):
            is_contact = event.is_active and not event.is_banned
            yield "contactAdded" if is_contact else "contactRemoved", {**own, "uri": peer.hex()}
        case ev.ConversationEvent():
            for each in take_apart(event):
                yield from _told_of_conversation(account, own, each)
        case _:
            pass  # Jami's clients know nothing of it


def _told_of_conversation(
    account: Account, own: dict[str, Any], event: object
) -> Iterator[tuple[str, dict[str, Any]]]:
    match event:
        case MessageTaken(conversation, message):
            about = {**own, "conversationId": str(conversation)}
            yield "newInteraction", {**about, "interactionId": str(message.id)}
            shown = shapes.message_of(account, message)
            yield (
                "conversation-message",
                {"conversationId": str(conversation), "message": shown},
            )
        case MessageEdited(conversation, _):
            yield "conversationUpdated", {**own, "conversationId": str(conversation)}
        case MessageReacted(conversation, message, to, emoji):
            yield (
                "reaction-added",
                {
                    **own,
                    "conversationId": str(conversation),
                    "messageId": str(to),
                    "reaction": {
                        "id": str(message.id),
                        "author": message.author.hex(),
                        "body": emoji,
                        "react-to": str(to),
                    },
                },
            )
        case MessageUnreacted(conversation, _, to, reaction):
            about = {**own, "conversationId": str(conversation)}
            yield "reaction-removed", {**about, "messageId": str(to), "reactionId": str(reaction)}
        case RequestArrived(request):
            about = {**own, "conversationId": str(request.conversation)}
            yield "newConversation", about
            yield "conversation-request", shapes.request_of(account, request)
        case ConversationReady(conversation):
            about = {**own, "conversationId": str(conversation)}
            yield "newConversation", about
            yield "conversation-ready", {**about, "participantURI": ""}
        case ConversationGone(conversation):
            yield "conversationRemoved", {**own, "conversationId": str(conversation)}
        case MembersChanged(conversation):
            yield "conversationUpdated", {**own, "conversationId": str(conversation)}
        case _:
            pass  # nor of this


def _may_hear(token: Token, kind: str) -> bool:
    return not {EVERYTHING, _SCOPES.get(kind, CONVERSATIONS)}.isdisjoint(token.scopes)


def _ids(node: Node) -> set[object]:
    return {account.id for account in node.accounts}
