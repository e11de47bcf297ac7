"""What commits say: the JSON of their messages, as typed contents.

    {"type": "text/plain", "body": TEXT [, "reply-to" | "react-to" | "edit": ID]}
    {"type": "member", "action": "add" | "join" | "remove" | "ban" | "unban", "uri": ACCOUNT}
    …                                           the whole list is in docs/protocol/swarm.md

Whatever is not known stays as it came in `Unknown`, and is shown as unknown. Written as Jami writes
it: keys sorted, no blanks, ASCII. Values are scalars only: 13.7 stops loading a conversation that
holds an object or a list.
"""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from shoal.core import AccountId, CommitId, ConversationId, DecodeError
from shoal.core.records import dataclass
from shoal.swarm.commits import merged_id
from shoal.swarm.errors import InvalidMessageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shoal.swarm.commits import Commit

Scalar: TypeAlias = str | int | float | bool | None

TEXT: Final = "text/plain"
EDITED: Final = "application/edited-message"
PROFILE: Final = "application/update-profile"
FILE: Final = "application/data-transfer+json"
CALL: Final = "application/call-history+json"
BODY_SIZE_MAX: Final = 1_048_576  # ours, in bytes of UTF-8: a text, not a file
FIELDS_MAX: Final = 64  # ours


class Mode(enum.IntEnum):
    """Who may invite. Source: Jami's ConversationMode."""

    ONE_TO_ONE = 0
    ADMIN_INVITES_ONLY = 1
    INVITES_ONLY = 2
    PUBLIC = 3
    DOCUMENT = 4  # since 2026: a collaborative document beside a conversation


class MemberAction(enum.Enum):
    """What happens to a member."""

    ADD = "add"
    JOIN = "join"
    REMOVE = "remove"
    BAN = "ban"
    UNBAN = "unban"


@dataclass(frozen=True, slots=True)
class Initial:
    """The first commit of a conversation."""

    mode: Mode
    invited: AccountId | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A text, a reply to a message, or a reaction to one."""

    body: str
    reply_to: CommitId | None = None
    react_to: CommitId | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """A new body for the message `edited`; an empty one deletes it."""

    edited: CommitId
    body: str


@dataclass(frozen=True, slots=True)
class MemberEvent:
    """A member was added, joined, left, was banned or unbanned."""

    action: MemberAction
    account: AccountId


@dataclass(frozen=True, slots=True)
class Vote:
    """A vote about a member or a device; which way is in the tree."""

    target: str


@dataclass(frozen=True, slots=True)
class ProfileUpdate:
    """The conversation's profile changed; it is in the tree."""


@dataclass(frozen=True, slots=True)
class FileOffer:
    """A file that members may fetch; without a transfer id, a file that was deleted."""

    transfer_id: str
    display_name: str = ""
    size: int = 0
    sha3_512: str = ""
    reply_to: CommitId | None = None
    edited: CommitId | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call: one that ended, or a conference that began."""

    duration_ms: int | None
    to: AccountId | None = None
    conference_id: str = ""
    host: str = ""
    device: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Merge:
    """Two histories became one; nothing to show."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that we do not know. It is kept and passed on as it is."""

    type: str
    fields: tuple[tuple[str, Scalar], ...]


Content: TypeAlias = (
    Initial | Text | Edit | MemberEvent | Vote | ProfileUpdate | FileOffer | Call | Merge | Unknown
)


def read_content(commit: Commit) -> Content:
    """Return what *commit* says.

    Raises:
        DecodeError: its message is neither JSON of the known shape nor that of a merge.
    """
    if commit.is_merge:
        return Merge()
    if merged_id(commit.message) is not None:
        raise DecodeError("a merge with one parent")
    return read_message(commit.message)


def read_message(message: bytes) -> Content:
    """Return what the message of a commit says that is no merge.

    Raises:
        DecodeError: it is not JSON of the known shape.
    """
    fields = read_fields(message)
    kind = fields.get("type")
    if not isinstance(kind, str) or not kind:
        raise DecodeError("a message without a type")
    return _read(kind, fields)


def read_fields(message: bytes) -> dict[str, Scalar]:
    """Return the top level of a message; objects and lists in it become their JSON text.

    Raises:
        DecodeError: it is not a JSON object.
    """
    try:
        found = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise DecodeError("a message that is not JSON") from error
    if not isinstance(found, dict) or len(found) > FIELDS_MAX:
        raise DecodeError("a message that is not a small JSON object")
    return {speakable(key): _scalar(value) for key, value in found.items()}


def _scalar(value: object) -> Scalar:
    if isinstance(value, str):
        return speakable(value)
    if isinstance(value, int | float | bool | None):
        return value
    return json.dumps(value)


def speakable(text: str) -> str:
    """Return *text* without halves of characters, which JSON can say and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def write_content(content: Content) -> bytes:
    """Return the message of a commit that says *content*.

    Raises:
        InvalidMessageError: it cannot be said so that all peers understand.
    """
    return write_fields(_fields_of(content))


def write_fields(fields: Mapping[str, Scalar]) -> bytes:
    """Return *fields* as Jami would write them.

    Raises:
        InvalidMessageError: a value is no scalar, or the whole is too large.
    """
    for key, value in fields.items():
        if not isinstance(value, str | int | float | bool | None):
            raise InvalidMessageError(f"{key!r} is neither text nor a number: peers would choke")
    text = json.dumps(dict(fields), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    if len(text) > BODY_SIZE_MAX:
        raise InvalidMessageError(f"{len(text)} bytes; {BODY_SIZE_MAX} at most. Send a file")
    return text.encode()


def _read(kind: str, fields: dict[str, Scalar]) -> Content:
    """Return the content of *kind*."""
    reader = _READERS.get(kind)
    if reader is not None:
        return reader(fields)
    rest = tuple((key, value) for key, value in sorted(fields.items()) if key != "type")
    return Unknown(kind, rest)


def _read_initial(fields: dict[str, Scalar]) -> Initial:
    try:
        mode = Mode(_integer(fields, "mode"))
    except ValueError as error:
        raise DecodeError(f"a conversation of mode {fields.get('mode')!r}") from error
    invited = _text(fields, "invited")
    return Initial(mode, AccountId.from_hex(invited) if invited else None)


def _read_text(fields: dict[str, Scalar]) -> Text | Edit:
    body = _text(fields, "body")
    edited = _commit(fields, "edit")
    if edited is not None:
        return Edit(edited, body)
    if fields["type"] == EDITED:
        raise DecodeError("an edit of nothing")
    return Text(body, _commit(fields, "reply-to"), _commit(fields, "react-to"))


def _read_member(fields: dict[str, Scalar]) -> MemberEvent:
    try:
        action = MemberAction(fields.get("action"))
    except ValueError as error:
        raise DecodeError(f"a member action {fields.get('action')!r}") from error
    return MemberEvent(action, AccountId.from_hex(_text(fields, "uri")))


def _read_file(fields: dict[str, Scalar]) -> FileOffer:
    return FileOffer(
        _text(fields, "tid"),
        _text(fields, "displayName"),
        max(0, _integer(fields, "totalSize")),
        _text(fields, "sha3sum"),
        _commit(fields, "reply-to"),
        _commit(fields, "edit"),
    )


def _read_call(fields: dict[str, Scalar]) -> Call:
    to = _text(fields, "to")
    return Call(
        _integer(fields, "duration") if "duration" in fields else None,
        AccountId.from_hex(to) if to else None,
        _text(fields, "confId"),
        _text(fields, "uri"),
        _text(fields, "device"),
        _text(fields, "reason"),
    )


_READERS: Final[Mapping[str, Callable[[dict[str, Scalar]], Content]]] = {
    "initial": _read_initial,
    TEXT: _read_text,
    EDITED: _read_text,
    "member": _read_member,
    "vote": lambda fields: Vote(_text(fields, "uri")),
    PROFILE: lambda fields: ProfileUpdate(),
    FILE: _read_file,
    CALL: _read_call,
}


def _text(fields: dict[str, Scalar], key: str) -> str:
    value = fields.get(key, "")
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)


def _integer(fields: dict[str, Scalar], key: str) -> int:
    """Return a number that may be written as text; 0 if it is missing."""
    value = fields.get(key, 0)
    if isinstance(value, str) and len(value) <= 20:  # noqa: PLR2004 - digits of 2^64
        try:
            return int(value or "0")
        except ValueError as error:
            raise DecodeError(f"{key} is {value!r}, not a number") from error
    if isinstance(value, bool) or not isinstance(value, int):
        raise DecodeError(f"{key} is {value!r}, not a number")
    return value


def _commit(fields: dict[str, Scalar], key: str) -> CommitId | None:
    value = _text(fields, key)
    return CommitId.from_hex(value) if value else None


def _fields_of(  # noqa: C901, PLR0911 - one arm per content
    content: Content,
) -> dict[str, Scalar]:
    """Return the fields that say *content*."""
    match content:
        case Initial(mode, invited):
            base: dict[str, Scalar] = {"type": "initial", "mode": int(mode)}
            return base if invited is None else base | {"invited": str(invited)}
        case Text(body, reply_to, react_to):
            return _with_ids(
                {"type": TEXT, "body": body}, {"reply-to": reply_to, "react-to": react_to}
            )
        case Edit(edited, body):
            # The type that both generations understand: the newer one, text/plain with `edit`,
            # reaches 13.7 as a new text.
            return {"type": EDITED, "body": body, "edit": str(edited)}
        case MemberEvent(action, account):
            return {"type": "member", "action": action.value, "uri": str(account)}
        case Vote(target):
            return {"type": "vote", "uri": target}
        case ProfileUpdate():
            return {"type": PROFILE}
        case FileOffer():
            return _file_fields(content)
        case Call():
            return _call_fields(content)
        case Unknown(kind, fields):
            return dict(fields) | {"type": kind}
        case Merge():
            raise InvalidMessageError("merges are made by merging")
        case _:
            assert_never(content)


def _file_fields(offer: FileOffer) -> dict[str, Scalar]:
    if offer.edited is not None:
        return {"type": FILE, "edit": str(offer.edited), "tid": offer.transfer_id}
    fields: dict[str, Scalar] = {
        "type": FILE,
        "displayName": offer.display_name,
        "sha3sum": offer.sha3_512,
        "tid": offer.transfer_id,
        "totalSize": str(offer.size),
    }
    return _with_ids(fields, {"reply-to": offer.reply_to})


def _call_fields(call: Call) -> dict[str, Scalar]:
    fields: dict[str, Scalar] = {"type": CALL}
    if call.duration_ms is not None:
        fields["duration"] = str(call.duration_ms)
    optional = {
        "to": str(call.to) if call.to else "",
        "confId": call.conference_id,
        "uri": call.host,
        "device": call.device,
        "reason": call.reason,
    }
    return fields | {key: value for key, value in optional.items() if value}


def _with_ids(fields: dict[str, Scalar], ids: Mapping[str, CommitId | None]) -> dict[str, Scalar]:
    return fields | {key: str(value) for key, value in ids.items() if value is not None}


def conversation_id(initial: Commit) -> ConversationId:
    """Return the id of the conversation that *initial* begins."""
    return ConversationId(initial.id)
