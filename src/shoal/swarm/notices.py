"""What devices tell each other beside the history: news, invitations, read marks, typing.

    application/im-gitmessage-id      {"id": CONVERSATION, "commit": ID, "deviceId": fetch there}
    application/invite                CONVERSATION: please invite me
    application/invite+json           {"conversationId": …, "metadatas": {"title": …}, …}
    message/imdn+xml                  displayed up to this message
    application/im-iscomposing+xml    active or idle

Nothing here is kept or trusted: a notice about news leads to a fetch, whose commits are judged.
Source: Jami's conversation_module.cpp and message handlers; RFC 3994, RFC 5438.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from shoal.core import CommitId, ConversationId, DecodeError, DeviceId
from shoal.core.records import dataclass
from shoal.swarm.contents import speakable

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMIT: Final = "application/im-gitmessage-id"
INVITE: Final = "application/invite"
INVITE_JSON: Final = "application/invite+json"
DISPLAYED: Final = "message/imdn+xml"
COMPOSING: Final = "application/im-iscomposing+xml"
BODY_SIZE_MAX: Final = 65_000  # ours: a notice is one packet
FIELD_SIZE_MAX: Final = 64_000  # Jami drops longer ones from invitations
TIME_MAX: Final = 2**53  # milliseconds; beyond it is not a time
_MESSAGE: Final = re.compile(r"<message-id>\s*([0-9a-f]{40})\s*</message-id>")
_CONVERSATION: Final = re.compile(r"<conversation>\s*([0-9a-f]{40})\s*</conversation>")
_DISPLAYED: Final = re.compile(r"<status>\s*<displayed\s*/>\s*</status>")
_STATE: Final = re.compile(r"<state>\s*(active|idle)\s*</state>")
_XML: Final = '<?xml version="1.0" encoding="utf-8" ?>\n'


@dataclass(frozen=True, slots=True)
class CommitNotice:
    """There is news: fetch from this device."""

    conversation: ConversationId
    commit: CommitId
    device: DeviceId


@dataclass(frozen=True, slots=True)
class InvitationWanted:
    """The sender heard of a conversation that it does not have, and asks to be invited."""

    conversation: ConversationId


@dataclass(frozen=True, slots=True)
class Invitation:
    """The receiver is invited; `metadata` describes the conversation."""

    conversation: ConversationId
    metadata: tuple[tuple[str, str], ...] = ()
    wall_received_ms: int = 0


@dataclass(frozen=True, slots=True)
class DisplayedNotice:
    """The sender has seen all up to this message."""

    conversation: ConversationId
    commit: CommitId


@dataclass(frozen=True, slots=True)
class ComposingNotice:
    """The sender is typing, or has stopped."""

    conversation: ConversationId
    is_active: bool


Notice: TypeAlias = CommitNotice | InvitationWanted | Invitation | DisplayedNotice | ComposingNotice


def read_notice(mime: str, body: str) -> Notice | None:
    """Return what a message of type *mime* says; None if it is no notice.

    Raises:
        DecodeError: it makes no sense.
    """
    if len(body) > BODY_SIZE_MAX:
        raise DecodeError(f"a notice of {len(body)} characters; {BODY_SIZE_MAX} at most")
    match mime.partition(";")[0].strip():
        case "application/im-gitmessage-id":
            return _read_commit(body)
        case "application/invite":
            return InvitationWanted(ConversationId.from_hex(body.strip()))
        case "application/invite+json":
            return _read_invitation(body)
        case "message/imdn+xml":
            return _read_displayed(body)
        case "application/im-iscomposing+xml":
            return ComposingNotice(
                ConversationId.from_hex(_only(_CONVERSATION, body)), _only(_STATE, body) == "active"
            )
        case _:
            return None


def write_notice(notice: Notice) -> tuple[str, str]:
    """Return MIME type and body of a notice."""
    match notice:
        case CommitNotice(conversation, commit, device):
            fields = {"commit": str(commit), "deviceId": str(device), "id": str(conversation)}
            return COMMIT, json.dumps(fields, separators=(",", ":"))
        case InvitationWanted(conversation):
            return INVITE, str(conversation)
        case Invitation():
            return INVITE_JSON, _write_invitation(notice)
        case DisplayedNotice(conversation, commit):
            return DISPLAYED, (
                f"{_XML}<imdn><message-id>{commit}</message-id>\n"
                f"<conversation>{conversation}</conversation>"
                "<display-notification><status><displayed/></status></display-notification>\n"
                "</imdn>"
            )
        case ComposingNotice(conversation, is_active):
            return COMPOSING, (
                f"{_XML}<isComposing><state>{'active' if is_active else 'idle'}</state>"
                f"<conversation>{conversation}</conversation></isComposing>"
            )
        case _:
            assert_never(notice)


def _read_commit(body: str) -> CommitNotice:
    fields = _object(body)
    return CommitNotice(
        ConversationId.from_hex(_text(fields, "id")),
        CommitId.from_hex(_text(fields, "commit")),
        DeviceId.from_hex(_text(fields, "deviceId")),
    )


def _read_invitation(body: str) -> Invitation:
    fields = _object(body)
    described = fields.get("metadatas")
    metadata = described if isinstance(described, dict) else {}
    received = fields.get("receivedMs")
    return Invitation(
        ConversationId.from_hex(_text(fields, "conversationId")),
        tuple(
            sorted(
                (speakable(key), speakable(value))
                for key, value in metadata.items()
                if isinstance(value, str)
            )
        ),
        received if type(received) is int and 0 < received < TIME_MAX else 0,
    )


def _write_invitation(invitation: Invitation) -> str:
    metadata = {
        key: value for key, value in invitation.metadata if len(value.encode()) < FIELD_SIZE_MAX
    }
    fields: dict[str, object] = {
        "conversationId": str(invitation.conversation),
        "metadatas": metadata,
    }
    if invitation.wall_received_ms:
        fields["received"] = invitation.wall_received_ms // 1_000
        fields["receivedMs"] = invitation.wall_received_ms
    return json.dumps(fields, separators=(",", ":"))


def _read_displayed(body: str) -> DisplayedNotice | None:
    if _DISPLAYED.search(body) is None:
        return None  # a receipt for something else than reading
    return DisplayedNotice(
        ConversationId.from_hex(_only(_CONVERSATION, body)),
        CommitId.from_hex(_only(_MESSAGE, body)),
    )


def _object(body: str) -> Mapping[str, object]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DecodeError("a notice that is not JSON") from error
    if not isinstance(found, dict):
        raise DecodeError("a notice that is no JSON object")
    return found


def _text(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise DecodeError(f"a notice without {key}")
    return value


def _only(pattern: re.Pattern[str], body: str) -> str:
    found = pattern.search(body)
    if found is None:
        raise DecodeError(f"a notice without {pattern.pattern.partition('>')[0]}>")
    return found[1]
