"""What a conversation looks like to those who read it: its messages with what became of them.

Messages arrive in any order: pages of history, older and older, and news. Edits and reactions may
come before the message that they are about was loaded; they wait for it.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final

from shoal.cli.home import printable
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENTRIES_MAX: Final = 5_000  # ours: messages that are held; who wants older ones reads the log
LABEL: Final = 4  # digits of an id that stand beside a message; ours
KINDS_HIDDEN: Final = frozenset({"merge", "profile_update"})  # they say nothing to read


@dataclass(slots=True)
class File:
    """A file that a message offers.

    Attributes:
        name: what it is called.
        size: bytes.
        done: bytes that are here.
        state: how far it is, in a word; "" if nothing is known.
        rate: bytes per second.
        path: where it was saved, or "".
    """

    name: str
    size: int
    done: int = 0
    state: str = ""
    rate: float = 0.0
    path: str = ""


@dataclass(slots=True)
class Entry:
    """A message, as it is shown now.

    Attributes:
        order: where it stands among the others.
        body: what it says; accounts in it are not named.
        reply_to: the message that it answers, or "".
        about: whom it is about, or "".
        reactions: who reacted how.
    """

    id: str
    author: str
    wall_time: float
    order: int
    kind: str
    body: str
    is_verified: bool = True
    reply_to: str = ""
    about: str = ""
    is_edited: bool = False
    is_deleted: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict)
    file: File | None = None

    @property
    def label(self) -> str:
        """What to call it in a command."""
        return self.id[-LABEL:]


@dataclass(slots=True)
class _Reaction:
    to: str
    emoji: str
    who: str
    is_edited: bool = False


class Transcript:
    """The messages that are loaded, oldest first."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.oldest = ""  # the first commit that is loaded, shown or not
        self._by_id: dict[str, Entry] = {}
        self._seen: set[str] = set()
        self._edits: dict[str, list[tuple[str, str]]] = {}  # edited: (author, body)
        self._reactions: dict[str, _Reaction] = {}
        self._waiting: dict[str, list[_Reaction]] = {}  # for the message that they are about
        self._first = 0
        self._next = 1

    def __contains__(self, message: str) -> bool:
        return message in self._by_id

    def __getitem__(self, message: str) -> Entry:
        return self._by_id[message]

    def get(self, message: str) -> Entry | None:
        """Return a message, if it is loaded."""
        return self._by_id.get(message)

    def has(self, commit: str) -> bool:
        """Whether a message, an edit or a reaction came, shown or not."""
        return commit in self._seen

    def latest_reacted(self, emoji: str, who: str) -> Entry | None:
        """Return the latest message to which somebody reacts like that."""
        return next(
            (each for each in reversed(self.entries) if who in each.reactions.get(emoji, ())), None
        )

    @property
    def is_full(self) -> bool:
        """Whether no older ones are loaded any more."""
        return len(self.entries) >= ENTRIES_MAX

    def add_page(self, messages: Iterable[Mapping[str, Any]]) -> list[Entry]:
        """Put a page of history before what is there; return what of it is shown."""
        page = list(messages)
        if page:
            self.oldest = str(page[0]["id"])
        shown: list[Entry] = []
        for message in reversed(page):  # the newest first: each goes to the front
            entry = self._take(message, is_older=True)
            if entry is not None:
                shown.insert(0, entry)
        return shown

    def take(self, message: Mapping[str, Any]) -> Entry | None:
        """Take what is new; return what to show anew: it, or the message that it is about."""
        return self._take(message, is_older=False)

    def find(self, label: str, *, by: str = "", not_by: str = "") -> list[Entry]:
        """Return the messages with this label; without one the latest, by somebody or others."""
        wanted = label.removeprefix("#").lower()
        if wanted:
            return [
                each
                for each in self.entries
                if each.id.endswith(wanted) or each.id.startswith(wanted)
            ]
        fitting = (
            each
            for each in reversed(self.entries)
            if each.kind in ("text", "file_offer")
            and not each.is_deleted
            and by in ("", each.author)
            and (not not_by or each.author != not_by)
        )
        return list(fitting)[:1]

    # Inside

    def _take(self, message: Mapping[str, Any], *, is_older: bool) -> Entry | None:
        identifier = str(message["id"])
        if identifier in self._seen:
            return None
        self._seen.add(identifier)
        author, kind = str(message["author"]), str(message["kind"])
        if kind == "edit":
            return self._edit(str(message["edited"]), author, str(message["body"]), is_older)
        if kind == "text" and message["react_to"]:
            to, emoji = str(message["react_to"]), printable(message["body"])
            return self._react(identifier, _Reaction(to, emoji, author))
        if kind == "file_offer" and message["edited"]:
            return self._edit(str(message["edited"]), author, "", is_older)
        if kind in KINDS_HIDDEN:
            return None
        entry = self._entry(message, is_older=is_older)
        self._by_id[identifier] = entry
        insort(self.entries, entry, key=_order)
        for reaction in self._waiting.pop(identifier, ()):
            _show(entry, reaction)
        for who, body in self._edits.pop(identifier, ()):
            _apply_edit(entry, who, body)
        return entry

    def _entry(self, message: Mapping[str, Any], *, is_older: bool) -> Entry:
        if is_older:
            self._first -= 1
        else:
            self._next += 1
        file = None
        if message["kind"] == "file_offer":
            file = File(printable(message["display_name"]), int(message["size"]))
        return Entry(
            str(message["id"]),
            str(message["author"]),
            float(message["wall_time"]),
            self._first if is_older else self._next,
            str(message["kind"]),
            words(message),
            bool(message["is_verified"]),
            str(message.get("reply_to") or ""),
            str(message["account"]) if message["kind"] == "member_event" else "",
            file=file,
        )

    def _edit(self, edited: str, author: str, body: str, is_older: bool) -> Entry | None:
        if (reaction := self._reactions.get(edited)) is not None:
            return self._edit_reaction(reaction, author, body, is_older=is_older)
        entry = self._by_id.get(edited)
        if entry is None:
            # Pages come newest first, so an edit that is found later is an older one.
            waiting = self._edits.setdefault(edited, [])
            waiting.insert(0 if is_older else len(waiting), (author, body))
            return None
        if not is_older or not entry.is_edited:
            _apply_edit(entry, author, body)
        return entry

    def _react(self, identifier: str, reaction: _Reaction) -> Entry | None:
        for who, body in self._edits.pop(identifier, ()):
            if who == reaction.who:
                reaction.emoji, reaction.is_edited = printable(body), True
        self._reactions[identifier] = reaction
        entry = self._by_id.get(reaction.to)
        if entry is None:
            self._waiting.setdefault(reaction.to, []).append(reaction)
            return None
        _show(entry, reaction)
        return entry

    def _edit_reaction(
        self, reaction: _Reaction, author: str, body: str, *, is_older: bool
    ) -> Entry | None:
        """Change a reaction, or take it back: only who reacted can."""
        if author != reaction.who or (is_older and reaction.is_edited):
            return None
        entry = self._by_id.get(reaction.to)
        if entry is not None:
            _hide(entry, reaction)
        reaction.emoji, reaction.is_edited = printable(body), True
        if entry is not None:
            _show(entry, reaction)
        return entry


def _order(entry: Entry) -> int:
    return entry.order


def _show(entry: Entry, reaction: _Reaction) -> None:
    if reaction.emoji:
        entry.reactions.setdefault(reaction.emoji, []).append(reaction.who)


def _hide(entry: Entry, reaction: _Reaction) -> None:
    if not reaction.emoji:
        return
    people = entry.reactions[reaction.emoji]
    people.remove(reaction.who)
    if not people:
        del entry.reactions[reaction.emoji]


def _apply_edit(entry: Entry, author: str, body: str) -> None:
    """Give a message another text: only who wrote it can."""
    if author != entry.author:
        return
    entry.is_edited = True
    entry.is_deleted = not body
    entry.body = text_of(body)


def text_of(body: object) -> str:
    """Return what somebody wrote as a terminal may be shown it, line by line."""
    return "\n".join(printable(line.replace("\t", "    ")) for line in str(body).splitlines())


def words(message: Mapping[str, Any]) -> str:
    """Return what a message says, in words."""
    kind = str(message["kind"])
    match kind:
        case "text" | "edit":
            said = text_of(message["body"])
        case "file_offer":
            said = printable(message["display_name"]) or "a file"
        case "call":
            length = message["duration_ms"]
            said = "began a call" if length is None else f"called, {int(length) // 1000} s"
        case "member_event":
            said = MEMBER_WORDS.get(str(message["action"]), str(message["action"]))
        case "unknown":
            said = f"something that this version does not know ({printable(message['type'])})"
        case _:
            said = _WORDS.get(kind, kind.replace("_", " "))
    return said


MEMBER_WORDS: Final = {
    "add": "invited",
    "join": "joined",
    "remove": "left",
    "ban": "banned",
    "unban": "let back in",
}
_WORDS: Final = {"initial": "began the conversation", "vote": "voted"}
