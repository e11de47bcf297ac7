"""Files between two accounts of Jami: the figures that Shoal's stand beside."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from tests.peers.jami import JamiAccount
from tests.peers.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.jami import Signal
    from tests.peers.town import Town

_PATIENCE: Final = 120.0  # seconds
_FINISHED: Final = 6  # libjami::DataTransferEventCode


class FilePair:
    """Two daemons of one generation with a conversation of two."""

    def __init__(self, town: Town, kind: str) -> None:
        self.sender, self.receiver = (
            JamiAccount(daemon, daemon.add_account(town.bootstrap))
            for daemon in (town.jami(kind), town.jami(kind))
        )
        for each in (self.sender, self.receiver):
            each.daemon.wait_announced(each.name)
        asker, other = self.sender, self.receiver
        asker.daemon.add_contact(asker.name, other.uri)
        asker.daemon.ask_for_trust(asker.name, other.uri)
        other.daemon.wait_request(other.name, asker.uri)
        other.daemon.accept(other.name, asker.uri)
        asker.daemon.wait_confirmed(asker.name, other.uri)
        self.conversation = until(
            lambda: next(iter(other.daemon.conversations(other.name)), None),
            "their conversation",
            _PATIENCE,
        )

        until(self._has_joined, "both in their conversation", _PATIENCE)

    def _has_joined(self) -> bool:
        """Whether the receiver is a member: what came with the clone is not announced."""
        sender = self.sender
        members = sender.daemon.call("getConversationMembers", sender.name, self.conversation)
        roles = {each["uri"]: each["role"] for each in map(dict, members)}
        return roles.get(self.receiver.uri) in {"member", "admin"}

    def fetch(self, path: Path, target: Path) -> float:
        """Let one send a file and the other fetch it; return the seconds from asking to whole."""
        sender, receiver = self.sender, self.receiver
        sender.daemon.call("sendFile", sender.name, self.conversation, str(path), "", "")
        offer = until(lambda: self._offer(path.name), f"the offer of {path.name}", _PATIENCE)
        message, file = offer["id"], offer["fileId"]
        begin = time.monotonic()
        receiver.daemon.call(
            "downloadFile", receiver.name, self.conversation, message, file, str(target)
        )
        done = until(lambda: self._finished(message), f"all of {path.name}", _PATIENCE)
        return done.at - begin

    def _offer(self, name: str) -> dict[str, Any] | None:
        """Return what the receiver is told of a file, if it is."""
        for kind in ("messageReceived", "swarmMessageReceived"):
            for signal in self.receiver.daemon.announced(kind):
                found = _body_of(signal)
                if found.get("displayName") == name:
                    return found
        return None

    def _finished(self, message: str) -> Signal | None:
        return next(
            (
                signal
                for signal in self.receiver.daemon.announced("dataTransferEvent")
                if message in signal.body and signal.body[-1] == _FINISHED
            ),
            None,
        )


def _body_of(signal: Signal) -> dict[str, Any]:
    """Return the fields of a message: flat in 13.7, in `body` in 2026."""
    last = signal.body[-1]
    if isinstance(last, dict):
        body = last.get("body", last)
        return {**last, **body} if isinstance(body, dict) else last
    return {}
