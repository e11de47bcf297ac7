"""A conversation as seen from one account, Shoal's or Jami's, so that one scenario serves all."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from shoal.core import AccountId, CommitId
from shoal.node.events import ConversationEvent
from shoal.swarm.contents import Edit, Text
from shoal.swarm.effects import Composing, StatusChanged
from shoal.swarm.errors import NoSuchConversationError
from shoal.swarm.roles import Role
from tests.peers.histories import line
from tests.peers.town import OLD
from tests.peers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shoal.node import Account
    from shoal.node.driver.conversations import Conversation, Message
    from tests.peers.jami import JamiAccount, Signal
    from tests.peers.shoal_node import ShoalHost

PATIENCE: Final = 90.0  # seconds, on a busy machine
_PAUSE: Final = 0.1  # seconds between two questions to a daemon
_REPLY, _EDIT, _REACT = 0, 1, 2  # Jami's sendMessage: what its flag means
_DISPLAYED: Final = 3  # Jami: the status of a message
_MESSAGE_SIGNALS: Final = (
    *("messageReceived", "swarmMessageReceived", "swarmMessageUpdated"),
    *("reactionAdded", "reactionRemoved"),
)


class Talk(Protocol):
    """One side of a conversation. What is waited for raises `NotReachedError` in the end."""

    @property
    def uri(self) -> str:
        """The account that speaks."""
        ...

    @property
    def repository(self) -> Path:
        """Where its git repository is."""
        ...

    def say(self, text: str) -> str:
        """Say something; return the id of the message."""
        ...

    def reply(self, text: str, to: str) -> str:
        """Reply to a message."""
        ...

    def edit(self, message: str, text: str) -> None:
        """Replace the text of a message; an empty one deletes it."""
        ...

    def react(self, message: str, emoji: str) -> None:
        """React to a message."""
        ...

    def unreact(self, message: str, emoji: str) -> None:
        """Take a reaction back."""
        ...

    def show(self, message: str) -> None:
        """Tell the others that all up to a message was seen."""
        ...

    def type(self) -> None:
        """Tell the others that its user is typing."""
        ...

    def wait_text(self, text: str, about: str = "") -> None:
        """Wait until its user was shown a text; *about* is a message that it is about."""
        ...

    def wait_deleted(self, message: str) -> None:
        """Wait until its user was shown that a message was taken back."""
        ...

    def wait_unreacted(self, message: str, emoji: str) -> None:
        """Wait until its user was shown that a reaction, which it was shown, was taken back."""
        ...

    def wait_shown(self, uri: str, message: str) -> None:
        """Wait until it is known here that *uri* has seen a message."""
        ...

    def wait_typing(self, uri: str) -> None:
        """Wait until it is known here that *uri* is typing."""
        ...

    def wait_sent(self, uri: str, message: str) -> None:
        """Wait until it is known here that *uri* has a message."""
        ...

    def wait_role(self, uri: str, *roles: str) -> None:
        """Wait until somebody's role is one of these; an empty one means that they have none."""
        ...

    def order(self) -> list[str]:
        """The ids of all commits but merges, in the order that its user reads them."""
        ...


@dataclass(frozen=True)
class ShoalTalk:
    """A conversation at an account of ours."""

    host: ShoalHost
    account: Account
    id: str

    @property
    def uri(self) -> str:
        """The account that speaks."""
        return self.account.id.hex()

    @property
    def conversation(self) -> Conversation:
        """It."""
        return self.account.conversations[self.id]

    @property
    def repository(self) -> Path:
        """Where its git repository is."""
        return self.account.vault.folder.path / "conversations" / self.id

    def messages(self) -> tuple[Message, ...]:
        """All that we have, oldest first."""
        return self.host.run(self.conversation.messages(10_000))

    def texts(self) -> list[str]:
        """The texts, oldest first."""
        return [each.content.body for each in self.messages() if isinstance(each.content, Text)]

    def say(self, text: str) -> str:
        """Say something."""
        return str(self.host.run(self.conversation.send(text)).id)

    def reply(self, text: str, to: str) -> str:
        """Reply to a message."""
        answered = CommitId.from_hex(to)
        return str(self.host.run(self.conversation.send(text, reply_to=answered)).id)

    def edit(self, message: str, text: str) -> None:
        """Replace the text of a message."""
        self.host.run(self.conversation.edit(CommitId.from_hex(message), text))

    def react(self, message: str, emoji: str) -> None:
        """React to a message."""
        self.host.run(self.conversation.react(CommitId.from_hex(message), emoji))

    def unreact(self, message: str, emoji: str) -> None:
        """Take a reaction back."""
        self.host.run(self.conversation.unreact(CommitId.from_hex(message), emoji))

    def show(self, message: str) -> None:
        """Tell the others that all up to a message was seen."""
        self.host.run(self.conversation.set_displayed(CommitId.from_hex(message)))

    def type(self) -> None:
        """Tell the others that our user is typing."""
        self.host.run(self.conversation.set_composing())

    def wait_invited(self) -> None:
        """Wait until we are invited."""
        requests = self.account.conversations.requests
        until(
            lambda: any(str(each.conversation) == self.id for each in requests()),
            f"an invitation at {self.host.namespace.host}",
            PATIENCE,
        )

    def accept(self) -> None:
        """Accept an invitation."""
        self.host.run(self.account.conversations.accept(self.id))

    def decline(self) -> None:
        """Decline an invitation."""
        self.host.run(self.account.conversations.decline(self.id))

    def wait_ready(self) -> None:
        """Wait until the conversation was cloned."""

        def is_ready() -> bool:
            with contextlib.suppress(NoSuchConversationError):
                return self.conversation.is_ready
            return False

        until(is_ready, f"conversation {self.id} at {self.host.namespace.host}", PATIENCE)

    def wait(self, what: str, where: Callable[[Message], bool]) -> Message:
        """Wait for a message."""
        return until(
            lambda: next(filter(where, self.messages()), None),
            f"{what} at {self.host.namespace.host}",
            PATIENCE,
            pause=_PAUSE,
        )

    def wait_text(self, text: str, about: str = "") -> None:
        """Wait until we have a text, from an author who is proved."""

        def is_it(message: Message) -> bool:
            match message.content:
                case Text(body, reply_to, react_to):
                    return body == text and about in map(str, (reply_to or react_to or "",))
                case Edit(edited, body):
                    return body == text and about == str(edited)
                case _:
                    return False

        assert self.wait(repr(text), is_it).is_verified

    def wait_deleted(self, message: str) -> None:
        """Wait until a message was taken back."""
        self.wait_text("", message)

    def wait_unreacted(self, message: str, emoji: str) -> None:
        """Wait until a reaction to a message counts no more."""

        def are_there() -> bool:
            entries = self.host.run(self.conversation.entries(10_000))
            (about,) = (each for each in entries if str(each.message.id) == message)
            return any(each.emoji == emoji for each in about.reactions)

        until(
            lambda: not are_there(),
            f"{emoji} taken back at {self.host.namespace.host}",
            PATIENCE,
            pause=_PAUSE,
        )

    def wait_shown(self, uri: str, message: str) -> None:
        """Wait until it is known here that *uri* has seen a message."""
        self._wait_event(
            f"{uri} has seen {message}",
            lambda event: (
                isinstance(event, StatusChanged)
                and (event.account.hex(), str(event.displayed)) == (uri, message)
            ),
        )

    def wait_typing(self, uri: str) -> None:
        """Wait until it is known here that *uri* is typing."""
        self._wait_event(
            f"{uri} typing",
            lambda event: (
                isinstance(event, Composing) and event.is_active and event.account.hex() == uri
            ),
        )

    def wait_sent(self, uri: str, message: str) -> None:
        """Wait until it is known here that *uri* has a message."""
        self._wait_event(
            f"{uri} has {message}",
            lambda event: (
                isinstance(event, StatusChanged)
                and (event.account.hex(), str(event.fetched)) == (uri, message)
            ),
        )

    def wait_role(self, uri: str, *roles: str) -> None:
        """Wait until somebody's role is one of these."""
        name, wanted = AccountId.from_hex(uri), {Role(role) if role else None for role in roles}
        until(
            lambda: self.conversation.members.get(name) in wanted,
            f"{uri} {roles} at {self.host.namespace.host}",
            PATIENCE,
        )

    def order(self) -> list[str]:
        """The ids of all messages in the order of reading."""
        return [str(each.id) for each in self.messages()]

    def _wait_event(self, what: str, where: Callable[[Any], bool]) -> None:
        def is_ours(event: ConversationEvent) -> bool:
            is_here = str(getattr(event.event, "conversation", "")) == self.id
            return event.account == self.account.id and is_here and where(event.event)

        until(
            lambda: any(map(is_ours, self.host.heard(ConversationEvent))),
            f"{what} at {self.host.namespace.host}",
            PATIENCE,
            pause=_PAUSE,
        )


@dataclass(frozen=True)
class JamiTalk:
    """A conversation at an account of Jami."""

    account: JamiAccount
    id: str

    @property
    def uri(self) -> str:
        """The account that speaks."""
        return self.account.uri

    @property
    def repository(self) -> Path:
        """Where its git repository is."""
        return self.account.daemon.folder(self.account.name) / "conversations" / self.id

    def say(self, text: str) -> str:
        """Say something."""
        return self._commit(text)

    def reply(self, text: str, to: str) -> str:
        """Reply to a message."""
        return self._commit(text, to)

    def edit(self, message: str, text: str) -> None:
        """Replace the text of a message."""
        self._send(text, message, _EDIT)

    def react(self, message: str, emoji: str) -> None:
        """React to a message."""
        self._send(emoji, message, _REACT)

    def unreact(self, message: str, emoji: str) -> None:
        """Take a reaction back: edit it to nothing, as Jami's clients do."""
        self._send("", self._reaction(message, emoji), _EDIT)

    def show(self, message: str) -> None:
        """Tell the others that all up to a message was seen."""
        self._call("setMessageDisplayed", f"swarm:{self.id}", message, _DISPLAYED)

    def type(self) -> None:
        """Tell the others that its user is typing."""
        self._call("setIsComposing", f"swarm:{self.id}", True)

    def wait_text(self, text: str, about: str = "") -> None:
        """Wait until its user was shown a text."""
        shown = json.dumps(text)
        self._wait_signal(
            _MESSAGE_SIGNALS, repr(text), lambda said: shown in said and about in said
        )

    def wait_deleted(self, message: str) -> None:
        """Wait until its user was shown that a message was taken back."""
        self._wait_signal(
            _MESSAGE_SIGNALS,
            f"{message} deleted",
            lambda said: '"body": ""' in said and message in said,
        )

    def wait_unreacted(self, message: str, emoji: str) -> None:
        """Wait until its user was shown that a reaction was taken back.

        2026 says so; 13.7 has no signal of reactions, and passes the edit on to its clients.
        """
        reaction = self._reaction(message, emoji)
        if self.account.daemon.kind == OLD:
            self.wait_deleted(reaction)
            return
        self._wait_signal(
            ("reactionRemoved",), f"{emoji} taken back", lambda said: reaction in said
        )

    def wait_shown(self, uri: str, message: str) -> None:
        """Wait until it is known here that *uri* has seen a message."""
        self._wait_status(uri, message, _DISPLAYED)

    def wait_typing(self, uri: str) -> None:
        """Wait until it is known here that *uri* is typing."""
        self._wait_signal(
            ("composingStatusChanged",), f"{uri} typing", lambda said: f'"{uri}", 1]' in said
        )

    def wait_sent(self, uri: str, message: str) -> None:
        """Wait until it is known here that *uri* has a message; 13.7 does not say who has it."""
        self._wait_status("" if self.account.daemon.kind == OLD else uri, message, 2)

    def wait_role(self, uri: str, *roles: str) -> None:
        """Wait until somebody's role is one of these."""

        def role() -> str:
            members = self._call("getConversationMembers", self.id)
            return next((str(each["role"]) for each in members if each["uri"] == uri), "")

        until(lambda: role() in roles, f"{uri} {roles} at {self._name}", PATIENCE, pause=_PAUSE)

    def wait_invited(self) -> None:
        """Wait until it is invited."""
        until(
            lambda: any(
                each.get("id") == self.id for each in self._call("getConversationRequests")
            ),
            f"an invitation at {self._name}",
            PATIENCE,
            pause=_PAUSE,
        )

    def wait_known(self) -> None:
        """Wait until the conversation is on its list and was cloned.

        While it is being cloned it has members and a repository, but loads nothing, and what is
        said in it is lost.
        """
        load = "loadConversationMessages" if self.account.daemon.kind == OLD else "loadConversation"
        until(
            lambda: (
                self.id in self.account.daemon.conversations(self.account.name)
                and len(self._call("getConversationMembers", self.id)) > 0
                and (self.repository / ".git").exists()
                and self._call(load, self.id, "", 1) != 0
            ),
            f"conversation {self.id} at {self._name}",
            PATIENCE,
            pause=_PAUSE,
        )

    def accept(self) -> None:
        """Accept an invitation."""
        self._call("acceptConversationRequest", self.id)

    def decline(self) -> None:
        """Decline an invitation."""
        self._call("declineConversationRequest", self.id)

    def invite(self, uri: str) -> None:
        """Invite somebody, or take back somebody who is banned."""
        self._call("addConversationMember", self.id, uri)

    def ban(self, uri: str) -> None:
        """Vote somebody out."""
        self._call("removeConversationMember", self.id, uri)

    def order(self) -> list[str]:
        """The ids in the order of Jami's own walk, which is that of git with dates."""
        return line(self.repository)

    @property
    def _name(self) -> str:
        return self.account.daemon.process.name

    def _call(self, method: str, *arguments: object) -> Any:
        return self.account.daemon.call(method, self.account.name, *arguments)

    def _send(self, text: str, about: str, flag: int) -> None:
        self._call("sendMessage", self.id, text, about, flag)

    def _commit(self, text: str, about: str = "") -> str:
        """Say something; return the id, which the daemon tells a little later."""
        mark = len(self.account.daemon.signals)
        self._send(text, about, _REPLY)

        def find() -> str | None:
            for signal in self._signals(_MESSAGE_SIGNALS, mark):
                said = signal.body[-1]
                fields = said.get("body") if isinstance(said.get("body"), dict) else said
                if fields.get("body") == text and fields.get("author") == self.uri:
                    return str(fields["id"])
            return None

        return until(find, f"{text!r} said by {self._name}", PATIENCE)

    def _reaction(self, message: str, emoji: str) -> str:
        """Return the id of a reaction, as soon as it is known."""

        def find() -> str | None:
            for signal in self._signals(("messageReceived", "reactionAdded")):
                said = signal.body[-1]
                if (said.get("react-to"), said.get("body")) == (message, emoji):
                    return str(said["id"])
            return None

        return until(find, f"{emoji} about {message} at {self._name}", PATIENCE, pause=_PAUSE)

    def _signals(self, names: tuple[str, ...], after: int = 0) -> list[Signal]:
        """Signals about this conversation at this account."""
        return [
            signal
            for signal in self.account.daemon.signals[after:]
            if signal.name in names and signal.body[:2] == (self.account.name, self.id)
        ]

    def _wait_signal(self, names: tuple[str, ...], what: str, where: Callable[[str], bool]) -> None:
        until(
            lambda: any(where(json.dumps(signal.body)) for signal in self._signals(names)),
            f"{what} at {self._name}",
            PATIENCE,
            pause=_PAUSE,
        )

    def _wait_status(self, uri: str, message: str, wanted: int) -> None:
        """13.7 tells (account, conversation, peer, message, status), 2026 without conversation."""

        def is_it(signal: Signal) -> bool:
            said = [str(part) for part in signal.body]
            is_wanted = message in said and int(signal.body[-1]) == wanted
            return is_wanted and (not uri or uri in said)

        until(
            lambda: any(
                is_it(signal)
                for signal in self.account.daemon.announced("accountMessageStatusChanged")
                if signal.body[0] == self.account.name
            ),
            f"{uri or 'anybody'} status {wanted} of {message} at {self._name}",
            PATIENCE,
            pause=_PAUSE,
        )
