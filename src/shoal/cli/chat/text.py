"""Messages as lines of text: for the plain chat, and inside the full-screen one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from shoal.cli.progress import sized

if TYPE_CHECKING:
    from shoal.cli.chat.talk import Talk
    from shoal.cli.chat.transcript import Entry, File

QUOTE_MAX: Final = 40  # characters of a message that is answered; ours
BAR: Final = 20  # cells of a bar; ours
SPOKEN: Final = frozenset({"text", "file_offer"})


def clock(wall_time: float, wall_now: float) -> str:
    """Return a moment as people write it: today's without the day."""
    moment = datetime.fromtimestamp(wall_time, UTC).astimezone()
    today = datetime.fromtimestamp(wall_now, UTC).astimezone().date()
    return moment.strftime("%H:%M" if moment.date() == today else "%Y-%m-%d %H:%M")


def body(talk: Talk, entry: Entry) -> str:
    """Return what a message says now, without who and when."""
    if entry.is_deleted:
        return "(deleted)"
    if entry.file is not None:
        return file_line(entry.file)
    if entry.about and entry.about != entry.author:
        return f"{entry.body} {talk.name(entry.about)}"
    return entry.body + (" (edited)" if entry.is_edited else "")


def file_line(file: File) -> str:
    """Return a file with its progress."""
    head = f"[file] {file.name}, {sized(file.size)}"
    if file.path and file.state == "done":
        return f"{head}, saved:\n{file.path}"
    if file.state in ("", "done", "fetched from us") or not file.size:
        return head if not file.state else f"{head}, {file.state}"
    cells = BAR * min(file.done, file.size) // file.size
    share = 100 * min(file.done, file.size) // file.size
    rate = f", {sized(file.rate)}/s" if file.rate else ""
    return f"{head}\n{'█' * cells}{'░' * (BAR - cells)} {share} %{rate} {file.state}"


def quote(talk: Talk, entry: Entry) -> str:
    """Return the message that this one answers, in short, or ""."""
    if not entry.reply_to:
        return ""
    answered = talk.transcript.get(entry.reply_to)
    if answered is None:
        return "> an older message"
    text = " ".join(body(talk, answered).split())
    short = text if len(text) <= QUOTE_MAX else text[: QUOTE_MAX - 1] + "…"
    return f"> {talk.name(answered.author)}: {short}"


def reactions(talk: Talk, entry: Entry) -> str:
    """Return the reactions to a message, with who and how many."""
    return "  ".join(
        f"{emoji} {', '.join(sorted({talk.name(who) for who in people}))}"
        for emoji, people in sorted(entry.reactions.items())
    )


def receipt(talk: Talk, entry: Entry) -> str:
    """Return how far a message of ours has come, in words, or ""."""
    read, received = talk.receipts(entry)
    parts = []
    if read:
        parts.append(f"read by {', '.join(read)}")
    if received:
        parts.append(f"received by {', '.join(received)}")
    return "; ".join(parts) or "sent"


def plain_lines(talk: Talk, entry: Entry, wall_now: float) -> list[str]:
    """Return a message as lines: when, who, what, and its label."""
    head = f"{clock(entry.wall_time, wall_now)} "
    name = talk.name(entry.author)
    mark = "" if entry.is_verified else " (unverified)"
    if entry.kind not in SPOKEN:
        return [f"{head}* {name} {body(talk, entry)}{mark}"]
    lines = body(talk, entry).splitlines() or [""]
    first = f"{head}<{name}> {lines[0]}{mark}  #{entry.label}"
    rest = [f"{' ' * len(head)}{line}" for line in lines[1:]]
    marks = [quote(talk, entry)] if entry.reply_to else []
    if entry.reactions:
        rest.append(f"{' ' * len(head)}{reactions(talk, entry)}")
    return [f"{' ' * len(head)}{mark}" for mark in marks] + [first, *rest]
