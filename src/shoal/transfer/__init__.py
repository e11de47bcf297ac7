"""Files in conversations: fetched from any member who has them, checked, resumed, served.

`TransferEngine` decides; it owns neither files nor channels. What it asks for and tells is in
`shoal.transfer.effects`, errors are in `shoal.transfer.errors`, what touches the disk in
`shoal.transfer.driver`. Names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.transfer.channel_wire import (
        SCHEME,
        FileId,
        FileRequest,
        OwnProfile,
        ProfilePush,
        ProfileQuestion,
        parse_name,
        write_name,
    )
    from shoal.transfer.config import TransferConfig
    from shoal.transfer.effects import Direction, Transfer, TransferState
    from shoal.transfer.engine import TransferEngine
    from shoal.transfer.naming import safe_name
    from shoal.transfer.records import (
        HELD_FOLDER,
        RECORDS_SIZE_MAX,
        WANTED_NAME,
        HeldFile,
        Stamp,
        WantedFile,
        unpack_held,
        unpack_wanted,
    )

__all__ = [
    "HELD_FOLDER",
    "RECORDS_SIZE_MAX",
    "SCHEME",
    "WANTED_NAME",
    "Direction",
    "FileId",
    "FileRequest",
    "HeldFile",
    "OwnProfile",
    "ProfilePush",
    "ProfileQuestion",
    "Stamp",
    "Transfer",
    "TransferConfig",
    "TransferEngine",
    "TransferState",
    "WantedFile",
    "parse_name",
    "safe_name",
    "unpack_held",
    "unpack_wanted",
    "write_name",
]

_MODULES = {
    "config": ("TransferConfig",),
    "effects": ("Direction", "Transfer", "TransferState"),
    "engine": ("TransferEngine",),
    "naming": ("safe_name",),
    "records": (
        *("HELD_FOLDER", "RECORDS_SIZE_MAX", "WANTED_NAME", "HeldFile", "Stamp", "WantedFile"),
        *("unpack_held", "unpack_wanted"),
    ),
    "channel_wire": (
        *("SCHEME", "FileId", "FileRequest", "OwnProfile", "ProfilePush", "ProfileQuestion"),
        *("parse_name", "write_name"),
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
