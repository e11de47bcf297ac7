"""Who takes which channels: handlers by the beginning of a channel's name."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from shoal.core import AccountId, DeviceId
    from shoal.identity import DeviceChain
    from shoal.net.driver import Channel
    from shoal.node.account.engine import AccountEngine

_log = logging.getLogger(__name__)

Handler: TypeAlias = "Callable[[Channel], Coroutine[Any, Any, None]]"
Accept: TypeAlias = "Callable[[AccountId, DeviceId, str], bool]"


class _Entry(NamedTuple):
    """A handler, and whom it lets in; None lets in contacts and own devices."""

    handler: Handler
    accept: Accept | None


class ChannelHandlers:
    """The handlers of one account; of several that fit a name, the longest prefix wins."""

    def __init__(self, engine: AccountEngine) -> None:
        self._engine = engine
        self._entries: dict[str, _Entry] = {}

    def add(self, prefix: str, handler: Handler, accept: Accept | None) -> Callable[[], None]:
        """Let *handler* take channels; returns what ends that."""
        entry = _Entry(handler, accept)
        self._entries[prefix] = entry

        def remove() -> None:
            if self._entries.get(prefix) is entry:
                del self._entries[prefix]

        return remove

    def accepts(self, peer: DeviceChain, name: str) -> bool:
        """Whether somebody takes this channel of this peer."""
        entry = self._find(name)
        if entry is None:
            return False
        if entry.accept is None:
            return self._engine.book.is_allowed(peer, allow_public=False)
        try:
            return entry.accept(peer.account, peer.device, name)
        except Exception:  # noqa: BLE001 - code of others decides here; a failure is a no
            _log.exception("! the policy of %r failed", name)
            return False

    def handler(self, name: str) -> Handler | None:
        """Return who takes channels of this name."""
        entry = self._find(name)
        return None if entry is None else entry.handler

    def _find(self, name: str) -> _Entry | None:
        fitting = [prefix for prefix in self._entries if name.startswith(prefix)]
        return self._entries[max(fitting, key=len)] if fitting else None
