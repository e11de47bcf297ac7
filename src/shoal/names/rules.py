"""What a name may be: JamiNS's rules, the same on every server of that kind."""

from __future__ import annotations

import re
from typing import Final

from shoal.names.errors import InvalidNameError

NAME_LENGTH_MIN: Final = 3  # JamiNS at ns.jami.net, and Jami 13.7 itself
NAME_LENGTH_MAX: Final = 32  # the same
NAME_CHARACTERS: Final = "a-z0-9_-"
NAME_PATTERN: Final = rf"^[{NAME_CHARACTERS}]{{{NAME_LENGTH_MIN},{NAME_LENGTH_MAX}}}$"
_NAME: Final = re.compile(NAME_PATTERN.removesuffix("$") + r"\Z")
_UPPER: Final = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
)  # ASCII alone: `lower` turns a Kelvin sign into a k, and then two names would look the same


def canonical_name(text: str) -> str:
    """Return the name that *text* means: in lower case.

    Raises:
        InvalidNameError: it is none.

    Source: Jami name_directory.cpp lower-cases before it registers; JamiNS refuses the rest.
    """
    name = text.translate(_UPPER)
    if _NAME.match(name) is None:
        raise InvalidNameError(_what_is_wrong(name))
    return name


def is_canonical_name(text: str) -> bool:
    """Tell whether *text* is a name as it is registered."""
    return _NAME.match(text) is not None


def _what_is_wrong(name: str) -> str:
    shown = name if len(name) <= NAME_LENGTH_MAX else name[:NAME_LENGTH_MAX] + "…"
    if len(name) < NAME_LENGTH_MIN:
        return f"{shown!r} is shorter than {NAME_LENGTH_MIN} characters"
    if len(name) > NAME_LENGTH_MAX:
        return f"{shown!r} is longer than {NAME_LENGTH_MAX} characters"
    return f"{shown!r} has other characters than a-z, 0-9, hyphen and underscore"
