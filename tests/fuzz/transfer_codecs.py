"""Targets for what peers say of files: names of channels, names of files; and our own records."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shoal.core import CommitId, ConversationId, DecodeError, DeviceId
from shoal.transfer import (
    FileId,
    FileRequest,
    HeldFile,
    OwnProfile,
    ProfilePush,
    Stamp,
    WantedFile,
    parse_name,
    safe_name,
    unpack_held,
    unpack_wanted,
    write_name,
)
from shoal.transfer.channel_wire import START_END
from shoal.transfer.records import pack_held, pack_wanted

if TYPE_CHECKING:
    from collections.abc import Callable

_FOLDER: Final = Path("/files")
_CONVERSATION: Final = ConversationId(bytes(20))
_COMMIT: Final = CommitId(bytes(20))


def channel_name(data: bytes) -> None:
    """A name that is read is written to something that reads the same."""
    with contextlib.suppress(DecodeError):
        name = parse_name(data.decode(errors="replace"))
        if not (isinstance(name, FileRequest) and name.start >= START_END):
            assert parse_name(write_name(name)) == name


def file_name(data: bytes) -> None:
    """No name that a peer chooses leads out of its folder, or into a file id that is none."""
    display_name = data.decode(errors="surrogateescape")
    name = safe_name(display_name)
    assert (_FOLDER / name).parent == _FOLDER
    assert not name.startswith(".")
    name.encode()
    file = FileId.of(_COMMIT, "1", display_name)
    assert FileId.parse(str(file)) == file


def records(data: bytes) -> None:
    """Records are read or refused; what is read is written and read the same."""
    with contextlib.suppress(DecodeError):
        wanted = unpack_wanted(data)
        assert unpack_wanted(pack_wanted(wanted)) == wanted
    with contextlib.suppress(DecodeError):
        held = unpack_held(data)
        assert unpack_held(pack_held(held)) == held


def known_names() -> list[bytes]:
    """Return a channel's name of each kind."""
    device = DeviceId(bytes(32))
    names = (
        FileRequest(_CONVERSATION, device, FileId(_COMMIT, "77", "bin"), 5),
        ProfilePush(_CONVERSATION, device, "ab" * 64, 9),
        OwnProfile("ab" * 64),
    )
    return [write_name(name).encode() for name in names]


def known_records() -> list[bytes]:
    """Return records of both kinds."""
    wanted = WantedFile(_CONVERSATION, _COMMIT, "77", "a", "", 5, "ab" * 64, "/x")
    held = HeldFile(_CONVERSATION, _COMMIT, "77", "/x/a", "ab" * 64, Stamp(5, 6, 7))
    return [pack_wanted([wanted]), pack_held([held])]


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]]] = {
    "transfer-channel-name": (channel_name, known_names),
    "transfer-file-name": (file_name, lambda: [b"../../a.txt", b"CON", "é".encode()]),
    "transfer-records": (records, known_records),
}
