"""What people type: texts, and commands that begin with a slash."""

from __future__ import annotations

import difflib
from typing import Final

from shoal.core.records import dataclass

EMOJI: Final = {
    "+1": "👍", "-1": "👎", "heart": "❤️", "laugh": "😂", "wow": "😮", "sad": "😢", "fire": "🔥",
    "party": "🎉", "ok": "👌", "thanks": "🙏", "eyes": "👀", "check": "✅",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """A command, or a text.

    Attributes:
        verb: `say`, or the name of a command without its slash.
        label: the message that is meant, or "".
        rest: what else was typed.
    """

    verb: str
    label: str = ""
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command is for.

    Attributes:
        arguments: what it takes, as help shows it.
        summary: what it does.
        takes_message: it is about a message, `#…`, or the latest one that fits.
        needs: it takes words.
    """

    arguments: str
    summary: str
    takes_message: bool = False
    needs: bool = False


COMMANDS: Final[dict[str, Usage]] = {
    "help": Usage("", "show this"),
    "reply": Usage("[#ID] TEXT", "answer a message; the latest of others without #ID", True, True),
    "edit": Usage("[#ID] TEXT", "give your message another text", True, True),
    "delete": Usage("[#ID]", "take your message back", True),
    "react": Usage("[#ID] EMOJI", "react; also by name: +1, heart, laugh, party", True, True),
    "unreact": Usage("[#ID] EMOJI", "take your reaction back", True, True),
    "send": Usage("FILE", "send a file", False, True),
    "get": Usage("[#ID]", "fetch a file that was offered", True),
    "invite": Usage("WHO", "invite somebody into a group", False, True),
    "who": Usage("", "show who is here, and who has read what"),
    "older": Usage("", "load older messages"),
    "switch": Usage("[CONVERSATION]", "talk in another conversation"),
    "quit": Usage("", "leave; the conversation goes on without you"),
}


class OrderError(ValueError):
    """What was typed is no command; the message says what to type instead."""


def read_order(line: str) -> Order:
    """Return what a line orders; `//` begins a text with a slash.

    Raises:
        OrderError: it begins with a slash, and is no command, or lacks something.
    """
    if line.startswith("//"):
        return Order("say", rest=line[1:])
    if not line.startswith("/"):
        return Order("say", rest=line)
    verb, _, rest = line[1:].partition(" ")
    verb, rest = verb.lower(), rest.strip()
    usage = COMMANDS.get(verb)
    if usage is None:
        near = difflib.get_close_matches(verb, COMMANDS, n=1, cutoff=0.5)
        advice = f"did you mean /{near[0]}?" if near else "/help shows what there is"
        raise OrderError(f"no command /{verb}; {advice} (// begins a text with a slash)")
    label = ""
    if usage.takes_message and rest.startswith("#"):
        label, _, rest = rest.partition(" ")
        rest = rest.strip()
    if usage.needs and not rest:
        raise OrderError(f"/{verb} {usage.arguments}: {usage.summary}")
    if verb in ("react", "unreact"):
        rest = EMOJI.get(rest.strip(":").lower(), rest)
    return Order(verb, label, rest)


def help_lines() -> list[str]:
    """Return the commands, one a line."""
    rows = [
        (f"/{name} {usage.arguments}".strip(), usage.summary) for name, usage in COMMANDS.items()
    ]
    width = max(len(left) for left, _ in rows)
    return [
        *(f"{left:<{width}}  {right}" for left, right in rows),
        "#ID are the four digits beside a message",
    ]
