"""Who may have a file: devices of members that are online."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError, DeviceId, ShoalError
from shoal.swarm.errors import SwarmError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.core import AccountId, CommitId, ConversationId
    from shoal.node.driver.account import Account
    from shoal.swarm import Conversation

READY_PATIENCE: Final = 60.0  # seconds, ours: for a conversation to be opened
ASKED_MAX: Final = 8  # ours: members whose devices the DHT is asked for, of those nobody watches


async def find_sources(
    account: Account, conversation: ConversationId, commit: CommitId
) -> list[DeviceId]:
    """Return devices that may have a file, the best first: who sent it, the connected, the rest."""
    try:
        async with asyncio.timeout(READY_PATIENCE):  # at the start of a node
            history = await account.talking.history(conversation)
    except (SwarmError, TimeoutError):
        return []
    session = account.talking.engine.sessions[conversation]
    assert session.view is not None, "it is ready"
    members = [each for each, role in session.view.members.items() if role.may_fetch]
    presences = account.runtime.engine.presences
    online: dict[DeviceId, None] = {}
    unknown: list[AccountId] = []
    for member in members:
        online.update(dict.fromkeys(presences.connected(member)))
    for member in members:
        announced = [each.device for each in presences.announced(member) if each.device]
        online.update(dict.fromkeys(announced))
        if not announced and not presences.connected(member):
            unknown.append(member)
    asked = await asyncio.gather(*(_ask(account, each) for each in unknown[:ASKED_MAX]))
    for devices in asked:
        online.update(dict.fromkeys(devices))
    sender = await _sender(account, conversation, history, commit)
    online.pop(account.device_id, None)
    return sorted(online, key=lambda device: device != sender)  # stable: the order above stays


def homes_of(
    account: Account, peer: AccountId, conversations: Iterable[ConversationId]
) -> list[ConversationId]:
    """Return those of the conversations that *peer* is a member of."""
    sessions = account.talking.engine.sessions
    return [
        each
        for each in conversations
        if (session := sessions.get(each)) is not None and session.may_fetch(peer)
    ]


async def _ask(account: Account, member: AccountId) -> tuple[DeviceId, ...]:
    try:
        return await account.find_devices(member)
    except ShoalError:
        return ()


async def _sender(
    account: Account, conversation: ConversationId, history: Conversation, commit: CommitId
) -> DeviceId | None:
    try:
        device = await account.talking.read(conversation, lambda: history.commit_of(commit).device)
    except (DecodeError, SwarmError):
        return None
    assert isinstance(device, DeviceId)
    return device
