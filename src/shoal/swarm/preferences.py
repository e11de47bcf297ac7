"""What a user wants of a conversation on all of their devices: colour, silence.

On disk and between one's own devices in Jami's shape, msgpack:

    conversation_data/ID/preferences    map of texts
    `p` of a sync message               map conversation -> such a map

`lastModified` says which of two devices is right; Jami keeps it as the time of the file, Shoal in
the map, as Jami tells it: seconds since 2174, where the file clock of its C++ library begins, as 64
bits without a sign. Other programs' keys are kept. Source: Jami's conversation.cpp,
updatePreferences; the keys are those of its clients.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core import ConversationId, DecodeError
from shoal.core.records import dataclass
from shoal.swarm.errors import InvalidPreferenceError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFERENCES_SIZE_MAX: Final = 16_777_216  # bytes, ours: of one packed map
KEYS_MAX: Final = 64  # ours: of one conversation
KEY_SIZE_MAX: Final = 128  # ours: characters
VALUE_SIZE_MAX: Final = 4_096  # ours: characters
CONVERSATIONS_MAX: Final = 100_000  # ours: of one sync message
COLOUR: Final = "color"
IGNORE_NOTIFICATIONS: Final = "ignoreNotifications"
_MODIFIED: Final = "lastModified"
FILE_CLOCK: Final = 6_437_664_000  # libstdc++: seconds from 1970 to 2174, where its clock begins
_MILLISECONDS: Final = 10**11  # of such a clock: what is farther from zero cannot be seconds
_UINT64: Final = 2**64  # what a time before 2174 wraps around
_DIGITS_MAX: Final = 20  # of 2^64


@dataclass(frozen=True, slots=True)
class Preferences:
    """The preferences of one conversation.

    Attributes:
        values: by key.
        wall_modified: seconds since 1970; 0 where nothing was ever set.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    wall_modified: int = 0

    @property
    def colour(self) -> str:
        """Its colour, mostly #rrggbb; "" is none."""
        return self.values.get(COLOUR, "")

    @property
    def is_muted(self) -> bool:
        """Whether its messages make no noise."""
        return self.values.get(IGNORE_NOTIFICATIONS) == "true"

    def changed(self, changes: Mapping[str, str | None], wall_now: float) -> Preferences:
        """Return them with *changes*; None takes a key away.

        Raises:
            InvalidPreferenceError: a key or a value is too long, or there are too many.
        """
        for key, value in changes.items():
            if not 0 < len(key) <= KEY_SIZE_MAX or key == _MODIFIED:
                raise InvalidPreferenceError(f"no preference is called {key[:KEY_SIZE_MAX]!r}")
            if value is not None and len(value) > VALUE_SIZE_MAX:
                raise InvalidPreferenceError(f"{key}: {VALUE_SIZE_MAX} characters at most")
        merged = {**self.values, **changes}
        values = {key: value for key, value in merged.items() if value is not None}
        if len(values) > KEYS_MAX:
            raise InvalidPreferenceError(f"{KEYS_MAX} preferences of a conversation at most")
        modified = max(int(wall_now), self.wall_modified + 1)
        return Preferences(values, min(modified, FILE_CLOCK - 1))

    def to_map(self) -> dict[str, str]:
        """Return the map of texts that is kept and told."""
        return {**self.values, _MODIFIED: str(to_file_time(self.wall_modified))}

    @classmethod
    def from_map(cls, found: object) -> Preferences:
        """Read a map; what makes no sense in it is left out."""
        fields = found if isinstance(found, dict) else {}
        modified = fields.get(_MODIFIED)
        values = {
            key: value
            for key, value in fields.items()
            if isinstance(key, str)
            and isinstance(value, str)
            and key != _MODIFIED
            and 0 < len(key) <= KEY_SIZE_MAX
            and len(value) <= VALUE_SIZE_MAX
        }
        return cls(dict(list(values.items())[:KEYS_MAX]), _seconds(modified))


def pack_preferences(preferences: Preferences) -> bytes:
    """Return the preferences of one conversation as its file has them."""
    packed: bytes = msgpack.packb(preferences.to_map())
    return packed


def unpack_preferences(data: bytes) -> Preferences:
    """Read what `pack_preferences` or Jami wrote.

    Raises:
        DecodeError: it is no map, or too large.
    """
    return Preferences.from_map(_unpack(data))


def pack_all_preferences(found: Mapping[ConversationId, Preferences]) -> bytes:
    """Return the preferences of several conversations, as own devices tell each other."""
    packed: bytes = msgpack.packb({str(key): each.to_map() for key, each in found.items()})
    return packed


def unpack_all_preferences(data: bytes) -> dict[ConversationId, Preferences]:
    """Read what `pack_all_preferences` or Jami wrote.

    Raises:
        DecodeError: it is no map, or too large.
    """
    found: dict[ConversationId, Preferences] = {}
    for key, value in _unpack(data).items():
        try:
            identifier = ConversationId.from_hex(key if isinstance(key, str) else "")
        except DecodeError:
            continue
        found[identifier] = Preferences.from_map(value)
    return found


def _unpack(data: bytes) -> dict[object, object]:
    if len(data) > PREFERENCES_SIZE_MAX:
        raise DecodeError(f"preferences of {len(data)} bytes; {PREFERENCES_SIZE_MAX} at most")
    try:
        found = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise DecodeError("preferences that are not msgpack") from error
    if not isinstance(found, dict) or len(found) > CONVERSATIONS_MAX:
        raise DecodeError("preferences that are no map of a sensible size")
    return found


def to_file_time(wall_seconds: int) -> int:
    """Return a time as Jami tells that of a file; 0 is none."""
    return (wall_seconds - FILE_CLOCK) % _UINT64 if 0 < wall_seconds < FILE_CLOCK else 0


def from_file_time(found: int) -> int:
    """Return the seconds since 1970 of a time that Jami tells, in any of its forms; 0 is none."""
    is_wrapped = found >= _UINT64 // 2
    seconds = found - _UINT64 if is_wrapped else found
    if abs(seconds) >= _MILLISECONDS:
        seconds //= 1_000
    if is_wrapped:
        seconds += FILE_CLOCK
    return seconds if 0 < seconds < FILE_CLOCK else 0


def _seconds(found: object) -> int:
    is_number = isinstance(found, str) and found.isascii() and found.isdigit()
    if not is_number or len(str(found)) > _DIGITS_MAX:
        return 0
    return from_file_time(int(str(found)))
