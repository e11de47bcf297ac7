"""What a user wants of a conversation: Jami's shape, any bytes, limits."""

from __future__ import annotations

from contextlib import suppress

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import ConversationId, DecodeError
from shoal.swarm import preferences
from shoal.swarm.errors import InvalidPreferenceError
from shoal.swarm.preferences import (
    COLOUR,
    FILE_CLOCK,
    IGNORE_NOTIFICATIONS,
    KEYS_MAX,
    VALUE_SIZE_MAX,
    Preferences,
    from_file_time,
    pack_all_preferences,
    pack_preferences,
    to_file_time,
    unpack_all_preferences,
    unpack_preferences,
)

KEYS = st.text(min_size=1, max_size=5)
PREFERENCES = st.builds(
    Preferences, st.dictionaries(KEYS, st.text(max_size=5)), st.integers(0, FILE_CLOCK - 1)
)
IDS = st.binary(min_size=20, max_size=20).map(ConversationId)


@given(PREFERENCES, st.dictionaries(IDS, PREFERENCES, max_size=3))
def test_round_trip(one: Preferences, several: dict[ConversationId, Preferences]) -> None:
    """What is written is read."""
    assert unpack_preferences(pack_preferences(one)) == one
    assert unpack_all_preferences(pack_all_preferences(several)) == several


def test_as_jami_tells() -> None:
    """Texts, with the time of its file in seconds."""
    found = {"color": "#E5AE43", "ignoreNotifications": "true", "lastModified": "1795217831"}
    wanted = unpack_preferences(msgpack.packb(found))

    assert wanted.colour == "#E5AE43"
    assert wanted.is_muted
    assert wanted.wall_modified == 1795217831
    assert not Preferences({}, 0).is_muted


def test_times_as_jami_tells_them() -> None:
    """Seconds or milliseconds since 2174, wrapped; or since 1970. As libjami of 2026 wrote it."""
    now = 1_795_842_310
    assert to_file_time(now) == 18446744069067729926
    assert from_file_time(18446744069067729926) == now
    assert from_file_time(2**64 - 1_000 * (FILE_CLOCK - now)) == now
    assert from_file_time(now) == from_file_time(now * 1_000) == now
    assert from_file_time(0) == to_file_time(0) == from_file_time(2**63) == 0


def test_changes() -> None:
    """None takes away; what is unknown stays; a change is newer than what it changes."""
    before = Preferences({COLOUR: "#fff", "theirs": "x"}, 100)
    after = before.changed({COLOUR: None, IGNORE_NOTIFICATIONS: "true"}, 50.0)

    assert after == Preferences({"theirs": "x", IGNORE_NOTIFICATIONS: "true"}, 101)
    assert Preferences().changed({COLOUR: "#000"}, 200.5).wall_modified == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"": "x"},
        {"lastModified": "5"},
        {"x" * 200: "x"},
        {"x": "x" * (VALUE_SIZE_MAX + 1)},
        {str(number): "x" for number in range(KEYS_MAX + 1)},
    ],
)
def test_what_is_refused(changes: dict[str, str]) -> None:
    """Names and values that are too long, and too many of them."""
    with pytest.raises(InvalidPreferenceError):
        Preferences().changed(changes, 1.0)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Preferences or `DecodeError`."""
    for unpack in (unpack_preferences, unpack_all_preferences):
        with suppress(DecodeError):
            unpack(data)


def test_hostile_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes no sense is left out; what is too large is refused."""
    found = {"color": 5, 7: "x", "x" * 200: "", "y": "x" * 5_000, "lastModified": "9" * 30}
    assert unpack_preferences(msgpack.packb(found)) == Preferences()
    assert unpack_all_preferences(msgpack.packb({"x": {}, 1: {}})) == {}
    many = {str(number): "" for number in range(2 * KEYS_MAX)}
    assert len(unpack_preferences(msgpack.packb(many)).values) == KEYS_MAX
    monkeypatch.setattr(preferences, "PREFERENCES_SIZE_MAX", 10)
    with pytest.raises(DecodeError):
        unpack_preferences(bytes(11))
    with pytest.raises(DecodeError):
        unpack_preferences(msgpack.packb("x"))
