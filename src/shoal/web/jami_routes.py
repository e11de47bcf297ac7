"""Jami's app access: the addresses below `/api` that its desktop client offers to local programs.

A bot that was written for one runs on the other. The tokens are ours, and so are the scopes, which
are enforced. Not offered: calls, and files by their path on this machine.
"""

from __future__ import annotations

import asyncio
import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from shoal.core import CommitId
from shoal.node.driver.ids import account_of
from shoal.node.errors import ParametersError, UnknownAccountError
from shoal.web import jami_shapes as shapes
from shoal.web.answers import Json, nothing
from shoal.web.endpoints import answering
from shoal.web.errors import (
    BodyFormatError,
    NoSuchPageError,
    ScopeMissingError,
    UnknownTokenError,
)
from shoal.web.scopes import EVERYTHING, check_scopes
from shoal.web.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from shoal.node import Account, Node
    from shoal.node.driver.conversations import Conversation
    from shoal.web.callers import Callers
    from shoal.web.tokens import Token

    Answer = Callable[[Request, Account], Awaitable[Response]]

MESSAGES_MAX: Final = 1_000  # ours: in one answer; Jami has no bound
_DIGITS_MAX: Final = 9  # of a number in a query; ours
SECONDS_MAX: Final = 10 * 366 * 24 * 3600  # ours: what a token is made for at most


class JamiRoutes:
    """The endpoints."""

    def __init__(self, node: Node, callers: Callers) -> None:
        self._node = node
        self._callers = callers

    def routes(self) -> list[Route]:
        """Return the routes, each with the scope that it takes."""
        group, one = "/api/conversations", "/api/conversations/{conversation}"
        requests, request = "/api/conversation-requests", "/api/conversation-requests/{id}"
        read, write = "conversations:read", "conversations:write"
        table: list[tuple[str, str, str, Answer]] = [
            ("GET", "/api/account", "accounts:read", self._account),
            ("GET", group, read, self._conversations),
            ("POST", group, write, self._begin),
            ("GET", one, read, self._conversation),
            ("DELETE", one, write, self._leave),
            ("GET", f"{one}/messages", read, self._messages),
            ("POST", f"{one}/messages", write, self._send),
            ("POST", f"{one}/reactions", write, self._react),
            ("POST", f"{one}/editmessage", write, self._edit),
            ("GET", f"{one}/infos", read, self._infos),
            ("GET", f"{one}/members", read, self._members),
            ("GET", requests, read, self._requests),
            ("POST", request, write, self._accept),
            ("DELETE", request, write, self._decline),
            ("POST", f"{request}/block", "contacts:write", self._block),
            ("GET", "/api/contacts", "contacts:read", self._contacts),
            ("GET", "/api/contacts/{contact}", "contacts:read", self._contact),
            ("PUT", "/api/contacts/{contact}", "contacts:write", self._add),
            ("DELETE", "/api/contacts/{contact}", "contacts:write", self._remove),
            ("GET", "/api/calls", "conversations:read", self._calls),
            ("GET", "/api/tokens", EVERYTHING, self._tokens),
            ("POST", "/api/tokens", EVERYTHING, self._new_token),
            ("DELETE", "/api/tokens/{token}", EVERYTHING, self._revoke),
            ("GET", "/api/ns/name/{name}", "names:read", self._find_name),
            ("GET", "/api/ns/address/{address}", "names:read", self._find_address),
        ]
        return [
            Route(path, self._guarded(scope, answer), methods=[verb])
            for verb, path, scope, answer in table
        ]

    def _guarded(self, scope: str, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            token = self._callers.of(request, asyncio.get_running_loop().time())
            check_scope(token, scope)
            request.state.token = token
            return await answer(request, self.account(token))

        return answering(endpoint)

    def account(self, token: Token) -> Account:
        """Return the account that a token is for; the first one if it is for all.

        Raises:
            UnknownAccountError: there is none.
        """
        if token.account:
            return self._node.accounts[token.account]
        for account in self._node.accounts:
            return account
        raise UnknownAccountError("there is no account yet")

    # Accounts and tokens

    async def _account(self, request: Request, account: Account) -> Response:
        return Json(shapes.account_of(account))

    async def _tokens(self, request: Request, account: Account) -> Response:
        own = {account.id.hex(), _token(request).account}  # of all accounts for such a one alone
        found = self._callers.tokens.file.list()
        return Json([shapes.token_of(each) for each in found if each.account in own])

    async def _new_token(self, request: Request, account: Account) -> Response:
        fields = await self._callers.json(request)
        label, scopes = fields.get("name", fields.get("label")), fields.get("scopes", [])
        seconds = fields.get("expiresIn", 0)
        if not isinstance(label, str) or not label.strip():
            raise ParametersError("this takes 'name', a text", "ParametersError")
        if not isinstance(scopes, list) or not all(isinstance(each, str) for each in scopes):
            raise ParametersError("scopes is a list of texts", "ParametersError")
        if type(seconds) is not int or not 0 <= seconds <= SECONDS_MAX:
            raise ParametersError("expiresIn is a number of seconds", "ParametersError")
        if ends := _token(request).wall_expires:  # what it makes ends with it
            left = max(1.0, ends - time.time())  # 0 would be for ever
            seconds = min(seconds or left, left)
        granted = check_scopes(scopes) or (EVERYTHING,)
        text, token = self._callers.tokens.file.new(
            label, granted, account=account.id.hex(), seconds=seconds
        )
        made = Json({"token": text, "info": shapes.token_of(token)})
        made.status_code = HTTPStatus.CREATED
        return made

    async def _revoke(self, request: Request, account: Account) -> Response:
        own, wanted = _token(request), request.path_params["token"]
        for each in self._callers.tokens.file.list():
            if wanted in {each.id, each.prefix} and own.account in {each.account, ""}:
                self._callers.tokens.file.revoke(each.id)
                return nothing()
        raise UnknownTokenError(f"no token {wanted[:80]!r}")

    # Conversations

    async def _conversations(self, request: Request, account: Account) -> Response:
        found = account.conversations.list()
        return Json([await shapes.summary_of(account, each) for each in found])

    async def _begin(self, request: Request, account: Account) -> Response:
        members = (await self._callers.json(request)).get("members")
        if not isinstance(members, list) or len(members) != 1 or not isinstance(members[0], str):
            raise ParametersError("members is a list of one account", "ParametersError")
        contact = await account.contacts.add(members[0])
        return Json(shapes.contact_of(account, contact.id))

    async def _conversation(self, request: Request, account: Account) -> Response:
        return Json(await shapes.summary_of(account, _named(request, account)))

    async def _leave(self, request: Request, account: Account) -> Response:
        await _named(request, account).leave()
        return nothing()

    async def _messages(self, request: Request, account: Account) -> Response:
        conversation = _named(request, account)
        first = request.query_params.get("from", "").strip()
        limit = _limit(request.query_params.get("limit", ""))
        entries = await conversation.entries(MESSAGES_MAX if first else limit)
        if first:
            ids = [str(each.message.id) for each in entries]
            start = ids.index(first) if first in ids else len(ids)
            entries = entries[start : start + limit]
        return Json([shapes.message_of(account, each.message, each) for each in entries])

    async def _send(self, request: Request, account: Account) -> Response:
        fields = await self._callers.json(request)
        text, reply = _message_in(fields)
        if not text:
            raise ParametersError("this takes 'message', a text", "ParametersError")
        reply_to = CommitId.from_hex(reply) if reply else None
        await _named(request, account).send(text, reply_to=reply_to)
        return nothing()

    async def _react(self, request: Request, account: Account) -> Response:
        fields = await self._callers.json(request)
        message = CommitId.from_hex(text_of(fields, "messageId"))
        await _named(request, account).react(message, text_of(fields, "emoji"))
        return nothing()

    async def _edit(self, request: Request, account: Account) -> Response:
        fields = await self._callers.json(request)
        message = CommitId.from_hex(text_of(fields, "messageId"))
        text = text_of({"message": "", **fields}, "message")
        await _named(request, account).edit(message, text)
        return nothing()

    async def _infos(self, request: Request, account: Account) -> Response:
        return Json(await shapes.infos_of(_named(request, account)))

    async def _members(self, request: Request, account: Account) -> Response:
        return Json(shapes.members_of(account, _named(request, account)))

    # Invitations

    async def _requests(self, request: Request, account: Account) -> Response:
        return Json([shapes.request_of(account, each) for each in account.conversations.requests()])

    async def _accept(self, request: Request, account: Account) -> Response:
        accepted = await account.conversations.accept(request.path_params["id"])
        return Json(await shapes.summary_of(account, accepted))

    async def _decline(self, request: Request, account: Account) -> Response:
        await account.conversations.decline(request.path_params["id"])
        return nothing()

    async def _block(self, request: Request, account: Account) -> Response:
        for each in account.conversations.requests():
            if str(each.conversation) == request.path_params["id"]:
                await account.contacts.block(each.sender)
                return nothing()
        raise NoSuchPageError("no such invitation")

    # Contacts and names

    async def _contacts(self, request: Request, account: Account) -> Response:
        return Json([shapes.contact_of(account, each.id) for each in account.contacts.list()])

    async def _contact(self, request: Request, account: Account) -> Response:
        who = await account.names.find_account(request.path_params["contact"])
        return Json(shapes.contact_of(account, who))

    async def _add(self, request: Request, account: Account) -> Response:
        contact = await account.contacts.add(request.path_params["contact"])
        return Json(shapes.contact_of(account, contact.id))

    async def _remove(self, request: Request, account: Account) -> Response:
        await account.contacts.remove(account_of(request.path_params["contact"]))
        return nothing()

    async def _calls(self, request: Request, account: Account) -> Response:
        return Json([])

    async def _find_name(self, request: Request, account: Account) -> Response:
        name = request.path_params["name"]
        record = await account.names.lookup(name)
        return Json(_found(account, name, str(record.account), record.name))

    async def _find_address(self, request: Request, account: Account) -> Response:
        address = request.path_params["address"]
        record = await account.names.reverse(account_of(address))
        return Json(_found(account, address, str(record.account), record.name))


def check_scope(token: Token, scope: str) -> None:
    """Let a token through that permits *scope*.

    Raises:
        ScopeMissingError: it does not.
    """
    if not {scope, EVERYTHING} & set(token.scopes):
        raise ScopeMissingError(f"this takes a token with the scope {scope}")


def _token(request: Request) -> Token:
    """Return the token of a request that was let through."""
    token: Token = request.state.token
    return token


def _named(request: Request, account: Account) -> Conversation:
    return account.conversations[request.path_params["conversation"]]


def _limit(text: str) -> int:
    """Return how many messages are wanted; what is no such number is no bound, as in Jami."""
    text = text.strip()
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else 0
    return min(wanted, MESSAGES_MAX) if wanted > 0 else MESSAGES_MAX


def _message_in(fields: dict[str, Any]) -> tuple[str, str]:
    """Return text and reply; `message` may be JSON in a text, as Jami's web client sends it."""
    text = fields.get("body") or ""
    reply = fields.get("parentId") or fields.get("replyTo") or ""
    given = fields.get("message")
    if not text and isinstance(given, str) and given:
        text = given
        try:
            inner = json.loads(given)
        except (ValueError, RecursionError):
            inner = None
        if isinstance(inner, dict):
            text = inner.get("message", given)
            reply = inner.get("replyTo") or inner.get("parentId") or reply
    if not isinstance(text, str) or not isinstance(reply, str):
        raise BodyFormatError("message and replyTo are texts")
    return text, reply


def _found(account: Account, query: str, address: str, name: str) -> dict[str, Any]:
    return {
        "accountId": account.id.hex(),
        "query": query,
        "state": 0,
        "address": address,
        "name": name,
    }
