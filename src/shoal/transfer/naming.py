"""Names for files on our disk, made of names that peers choose.

A display name is whatever a member wrote. What comes out here is one component of a path: it has no
separators of any system, is not hidden, is no device of Windows, holds nothing that a terminal or a
file manager would show as something else, and fits into any file system.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

NAME_SIZE_MAX: Final = 200  # bytes of UTF-8, ours: file systems take 255, a number may be added
EXTENSION_SIZE_MAX: Final = 16  # bytes, ours: what is longer is part of the name
DEFAULT: Final = "file"
_FORBIDDEN: Final = re.compile(r'[<>:"|?*]')  # by Windows; harmless to leave out elsewhere
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
_HIDDEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, overrides, surrogates, …


def safe_name(display_name: str) -> str:
    """Return a name for a file that cannot lead out of its folder."""
    last = re.split(r"[/\\]", display_name)[-1]
    shown = "".join(c for c in last if unicodedata.category(c) not in _HIDDEN)
    name = _FORBIDDEN.sub("_", shown).strip(" .")
    stem, extension = split_extension(name)
    if _DEVICES.fullmatch(stem.partition(".")[0].strip()):
        stem = f"_{stem}"
    room = NAME_SIZE_MAX - len(extension.encode())
    return (cut(stem, room).rstrip(" .") or DEFAULT) + extension


def numbered(name: str, number: int) -> str:
    """Return another name, for when *name* is taken: `a (2).txt`."""
    stem, extension = split_extension(name)
    return f"{stem} ({number}){extension}"


def split_extension(name: str) -> tuple[str, str]:
    """Split a name before the dot of its extension."""
    stem, dot, extension = name.rpartition(".")
    if not stem or not extension or len(extension.encode()) > EXTENSION_SIZE_MAX:
        return name, ""
    return stem, dot + extension


def cut(text: str, size: int) -> str:
    """Return the beginning of *text* that takes at most *size* bytes."""
    return text.encode()[:size].decode(errors="ignore")
