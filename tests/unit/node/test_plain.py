"""Values as JSON has them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from shoal.core import AccountId, ConversationId, DeviceId
from shoal.node.events import ConversationEvent, Presence, PresenceChanged
from shoal.node.plain import event_to_json, plain, snake
from shoal.swarm.effects import ConversationGone


@dataclass(frozen=True)
class Sample:
    """Something with a field that is nobody's business."""

    shown: bytes
    _hidden: int = 7


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.5, 0.5),
        ("text", "text"),
        (b"bytes", "bytes"),
        (b"\xff", {"base64": "/w=="}),
        (AccountId(bytes(20)), "00" * 20),
        (Presence.OFFLINE, "offline"),
        ((1, b"a"), [1, "a"]),
        ({AccountId(bytes(20)): Presence.CONNECTED}, {"00" * 20: "connected"}),
        (Sample(b"x"), {"shown": "x"}),
        (ValueError("why"), "why"),
    ],
)
def test_everything_has_a_plain_form(item: object, expected: object) -> None:
    """Ids as hex digits, enums by value, bytes as text if they are."""
    assert plain(item) == expected


def test_events_have_their_name() -> None:
    """In lower case."""
    account, device = AccountId(bytes(20)), DeviceId(bytes(32))
    event = PresenceChanged(account, account, Presence.ANNOUNCED, (device,))
    assert event_to_json(event) == {
        "event": "presence_changed",
        "account": "00" * 20,
        "peer": "00" * 20,
        "presence": "announced",
        "devices": ["00" * 32],
    }
    inner = ConversationGone(ConversationId(b"c" * 20))
    assert event_to_json(ConversationEvent(account, inner)) == {
        "event": "conversation_event",
        "account": "00" * 20,
        "kind": "conversation_gone",
        "details": {"conversation": "63" * 20},
    }
    assert snake("RequestReceived") == "request_received"
