"""What is known of files from run to run: which we want, and which we have.

`transfers` is a list of what is to be fetched, `held/CONVERSATION` one of what can be served:
MessagePack arrays of maps, read leniently: what makes no sense is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgpack

from shoal.core import CommitId, ConversationId, DecodeError
from shoal.core.records import dataclass
from shoal.transfer.channel_wire import FileId, is_sha3
from shoal.transfer.naming import safe_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    T = TypeVar("T")

WANTED_NAME: Final = "transfers"
HELD_FOLDER: Final = "held"
RECORDS_SIZE_MAX: Final = 64 * 1024 * 1024  # ours: all that HELD_MAX may take
HELD_MAX: Final = 65_536  # ours, of one conversation: the oldest are no longer served
_SIZE_MAX: Final = 2**63  # ours: no disk is larger
_PATHS: Final = "surrogateescape"  # paths of ours may be no UTF-8
_PATH_MAX: Final = 4096  # limits.h: PATH_MAX, in characters here


@dataclass(frozen=True, slots=True)
class Stamp:
    """How a file looked when its content was checked: another look, and it is checked again."""

    size: int
    modified_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file that we want.

    Attributes:
        conversation: where it was offered.
        commit: by which message.
        transfer_id: its id there.
        name: what it shall be called, one component of a path: see `safe_name`.
        extension: that of its id, which channels repeat.
        size: how large it is.
        sha3_512: what it holds, 128 hex digits.
        folder: where it goes.
        is_paused: not now.
        is_automatic: nobody asked for it.
    """

    conversation: ConversationId
    commit: CommitId
    transfer_id: str
    name: str
    extension: str
    size: int
    sha3_512: str
    folder: str
    is_paused: bool = False
    is_automatic: bool = False

    @property
    def file(self) -> FileId:
        """Its id on the wire."""
        return FileId(self.commit, self.transfer_id, self.extension)


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file that we have whole, or had when we last looked.

    Attributes:
        conversation: where it was offered.
        commit: by which message; None while that is being written.
        transfer_id: its id there.
        path: where it is.
        sha3_512: what it holds.
        stamp: how it looked when that was checked.
        is_copy: we made it, so that it goes when the message is deleted.
    """

    conversation: ConversationId
    commit: CommitId | None
    transfer_id: str
    path: str
    sha3_512: str
    stamp: Stamp
    is_copy: bool = False


def pack_wanted(files: Iterable[WantedFile]) -> bytes:
    """Write what is wanted."""
    return _pack(
        {
            "conversation": bytes(file.conversation),
            "commit": bytes(file.commit),
            "tid": file.transfer_id,
            "name": file.name,
            "extension": file.extension,
            "size": file.size,
            "sha3": file.sha3_512,
            "folder": file.folder,
            "paused": file.is_paused,
            "automatic": file.is_automatic,
        }
        for file in files
    )


def unpack_wanted(data: bytes) -> list[WantedFile]:
    """Read what is wanted.

    Raises:
        DecodeError: it is no list at all. Nothing else is ever raised.
    """
    return _unpack(data, _read_wanted)


def pack_held(files: Iterable[HeldFile]) -> bytes:
    """Write what we have."""
    return _pack(
        {
            "conversation": bytes(file.conversation),
            "commit": bytes(file.commit or b""),
            "tid": file.transfer_id,
            "path": file.path,
            "sha3": file.sha3_512,
            "stamp": [file.stamp.size, file.stamp.modified_ns, file.stamp.inode],
            "copy": file.is_copy,
        }
        for file in files
    )


def unpack_held(data: bytes) -> list[HeldFile]:
    """Read what we have.

    Raises:
        DecodeError: it is no list at all. Nothing else is ever raised.
    """
    return _unpack(data, _read_held)


def _pack(items: Iterable[dict[str, Any]]) -> bytes:
    packed: bytes = msgpack.packb(list(items), unicode_errors=_PATHS)
    return packed


def _unpack(data: bytes, read: Callable[[dict[Any, Any]], T]) -> list[T]:
    try:
        items = msgpack.unpackb(data, strict_map_key=False, unicode_errors=_PATHS) if data else []
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise DecodeError(f"no records of files: {error}") from error
    if not isinstance(items, list):
        raise DecodeError("records of files that are no list")
    found: list[T] = []
    for item in items:
        try:
            if isinstance(item, dict):
                found.append(read(item))
        except (DecodeError, KeyError, TypeError):
            continue
    return found


def _read_wanted(item: dict[Any, Any]) -> WantedFile:
    commit = CommitId(item["commit"])
    name, extension = _text(item["name"]), _text(item["extension"])
    if name != safe_name(name):
        raise DecodeError("a name that is none")
    file = FileId.parse(str(FileId(commit, _text(item["tid"]), extension)))
    return WantedFile(
        ConversationId(item["conversation"]),
        commit,
        file.transfer_id,
        name,
        file.extension,
        _size(item["size"]),
        _sha3(item["sha3"]),
        _text(item["folder"]),
        item.get("paused") is True,
        item.get("automatic") is True,
    )


def _read_held(item: dict[Any, Any]) -> HeldFile:
    raw = item["commit"]
    commit = CommitId(raw) if raw else None
    transfer_id = FileId.parse(f"{'0' * 40}_{_text(item['tid'])}").transfer_id
    stamp = item["stamp"]
    if not isinstance(stamp, list) or len(stamp) != 3:  # noqa: PLR2004 - the three of `Stamp`
        raise DecodeError("no stamp")
    return HeldFile(
        ConversationId(item["conversation"]),
        commit,
        transfer_id,
        _text(item["path"]),
        _sha3(item["sha3"]),
        Stamp(_size(stamp[0]), _size(stamp[1]), _size(stamp[2])),
        item.get("copy") is True,
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _PATH_MAX:
        raise DecodeError("no text")
    return value


def _sha3(value: object) -> str:
    text = _text(value)
    if not is_sha3(text):
        raise DecodeError("no SHA3-512")
    return text


def _size(value: object) -> int:
    if type(value) is not int or not 0 <= value < _SIZE_MAX * 2:
        raise DecodeError("no size")
    return value
