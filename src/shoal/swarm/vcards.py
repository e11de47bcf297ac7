"""What people and groups look like: vCards with a name and a picture, as Jami writes them.

    BEGIN:VCARD
    VERSION:2.1
    FN:Ada
    PHOTO;ENCODING=BASE64;TYPE=PNG:iVBORw0KGgo…      on one line; of a group without its type
    END:VCARD

Read is what versions 2.1, 3.0 and 4.0 have of that: folded lines, quoted-printable, escapes, data
URIs. A picture counts only if its first bytes are those of PNG, JPEG, GIF or WebP: what it says of
itself is not believed, and no address in it is ever visited. Other properties are kept.

Source: Jami's vcard.cpp and ConversationRepository::updateInfos; RFC 2426, RFC 6350, vCard 2.1.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.swarm.errors import InvalidProfileError

if TYPE_CHECKING:
    from collections.abc import Iterator

VCARD_SIZE_MAX: Final = 4_194_304  # bytes, ours: of a whole card
PICTURE_SIZE_MAX: Final = 2_097_152  # bytes, ours: Jami's clients shrink theirs to some 50 KB
NAME_SIZE_MAX: Final = 256  # characters, ours
DESCRIPTION_SIZE_MAX: Final = 4_096  # characters, ours
LINES_MAX: Final = 65_536  # ours: a folded picture has many
OTHERS_MAX: Final = 64  # ours: properties that are kept as they are
OTHER_SIZE_MAX: Final = 4_096  # characters, ours: of one of them
_VERSION_OLD: Final = "2.1"
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_ESCAPES: Final = re.compile(r"\\([nN,;:\\])")
_DATA_URI: Final = re.compile(r"data:[^,]{0,100};base64,", re.IGNORECASE)
_TYPES: Final = ((b"\x89PNG\r\n\x1a\n", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"GIF8", "GIF"))


@dataclass(frozen=True, slots=True)
class VCard:
    """What a person or a group looks like.

    Attributes:
        name: of a person; of a group its title.
        description: of a group; of a person a note.
        picture: the bytes of an image file; empty for none.
        others: further properties, as they came.
    """

    name: str = ""
    description: str = ""
    picture: bytes = b""
    others: tuple[tuple[str, str], ...] = ()

    @property
    def picture_type(self) -> str:
        """PNG, JPEG, GIF or WEBP; "" if there is none."""
        return type_of(self.picture)

    def changed(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        picture: bytes | None = None,
    ) -> VCard:
        """Return it with these things changed, where they are not None.

        Raises:
            InvalidProfileError: one of them is too long, or the picture is none.
        """
        if name is not None and len(name) > NAME_SIZE_MAX:
            raise InvalidProfileError(f"a name has {NAME_SIZE_MAX} characters at most")
        if description is not None and len(description) > DESCRIPTION_SIZE_MAX:
            raise InvalidProfileError(f"a text has {DESCRIPTION_SIZE_MAX} characters at most")
        if picture and len(picture) > PICTURE_SIZE_MAX:
            raise InvalidProfileError(f"a picture has {PICTURE_SIZE_MAX} bytes at most")
        if picture and not type_of(picture):
            raise InvalidProfileError("a picture is a PNG, JPEG, GIF or WebP file")
        return replace(
            self,
            name=self.name if name is None else clean(name),
            description=self.description if description is None else clean(description),
            picture=self.picture if picture is None else picture,
        )


def type_of(picture: bytes) -> str:
    """Return what kind of image *picture* is, by its first bytes; "" if it is none of ours."""
    for beginning, name in _TYPES:
        if picture.startswith(beginning):
            return name
    return "WEBP" if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP" else ""


def clean(text: str) -> str:
    """Return *text* on one line, without what would turn around what stands beside it."""
    return _CONTROLS.sub(" ", text).strip()


def write_person(card: VCard) -> bytes:
    """Return the vCard of a person."""
    lines = ["BEGIN:VCARD", "VERSION:2.1", f"FN:{clean(card.name)}"]
    if card.description:
        lines.append(f"NOTE:{clean(card.description)}")
    if card.picture:
        data = base64.b64encode(card.picture).decode()
        lines.append(f"PHOTO;ENCODING=BASE64;TYPE={card.picture_type}:{data}")
    lines += [f"{head}:{value}" for head, value in card.others]
    return "\n".join([*lines, "END:VCARD", ""]).encode()


def write_group(card: VCard) -> bytes:
    """Return the `profile.vcf` of a conversation, byte for byte as Jami would."""
    others = {head.partition(";")[0]: f"{head}:{value}\n" for head, value in card.others}
    photo = f":{base64.b64encode(card.picture).decode()}" if card.picture else ""
    text = (
        f"BEGIN:VCARD\nVERSION:2.1\nFN:{clean(card.name)}\n"
        f"DESCRIPTION:{clean(card.description)}\nPHOTO;ENCODING=BASE64{photo}\n"
        f"{others.get('RDV_ACCOUNT', '')}\n{others.get('RDV_DEVICE', '')}\nEND:VCARD"
    )
    return text.encode()


def read_vcard(data: bytes, *, needs_end: bool = False) -> VCard:
    """Read a vCard; what makes no sense in it is left out, an end that *needs_end* must be there.

    Raises:
        DecodeError: it is none, cut off, or too large.
    """
    if len(data) > VCARD_SIZE_MAX:
        raise DecodeError(f"a vCard of {len(data)} bytes; {VCARD_SIZE_MAX} at most")
    lines = data.decode(errors="replace").removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if len(lines) > LINES_MAX:
        raise DecodeError(f"a vCard of {len(lines)} lines; {LINES_MAX} at most")
    if not lines or lines[0].strip().upper() != "BEGIN:VCARD":
        raise DecodeError("no vCard")
    if needs_end and not any(_is_end(line) for line in lines):
        raise DecodeError("a vCard that is cut off")
    return _card(list(_properties(lines[1:])))


class _Property(NamedTuple):
    """One property: `name;parameter;…:value`."""

    head: str
    value: str

    @property
    def name(self) -> str:
        return self.head.partition(";")[0].rpartition(".")[2].strip().upper()

    @property
    def parameters(self) -> str:
        return self.head.partition(";")[2].upper()


def _properties(lines: list[str]) -> Iterator[_Property]:
    """Yield what stands between begin and end, with the lines that belong together joined."""
    pending: list[str] = []
    for line in lines:
        is_folded = line[:1] in (" ", "\t")
        is_soft = bool(pending) and pending[-1].endswith("=") and "QUOTED-PRINTABLE" in pending[0]
        is_base64 = bool(pending) and ":" not in line and "BASE64" in pending[0][:100].upper()
        if pending and (is_folded or is_soft or (is_base64 and line.strip())):
            pending.append(line[1:] if is_folded else line)
            continue
        yield from _joined(pending)
        if _is_end(line):
            return
        pending = [line]
    yield from _joined(pending)


def _is_end(line: str) -> bool:
    return line.strip().upper() == "END:VCARD"


def _joined(lines: list[str]) -> Iterator[_Property]:
    if not lines:
        return
    is_quoted = "QUOTED-PRINTABLE" in lines[0].upper()
    text = ("\n" if is_quoted else "").join(lines)
    head, colon, value = text.partition(":")
    if colon:
        yield _Property(head, value)


def _card(properties: list[_Property]) -> VCard:
    version = next((each.value.strip() for each in properties if each.name == "VERSION"), "")
    name = fallback = description = ""
    picture = b""
    others: list[tuple[str, str]] = []
    for each in properties:
        match each.name:
            case "FN":
                name = name or clean(_text(each, version))
            case "N":
                parts = _text(each, version).split(";")
                fallback = clean(" ".join(part for part in (*parts[1:2], *parts[:1]) if part))
            case "DESCRIPTION" | "NOTE":
                description = description or clean(_text(each, version))
            case "PHOTO":
                picture = picture or _picture(each)
            case "VERSION" | "BEGIN":
                pass
            case _ if len(others) < OTHERS_MAX and len(each.head + each.value) < OTHER_SIZE_MAX:
                if "\n" not in each.value:
                    others.append((each.head, each.value))
    return VCard(
        (name or fallback)[:NAME_SIZE_MAX],
        description[:DESCRIPTION_SIZE_MAX],
        picture,
        tuple(others),
    )


def _text(each: _Property, version: str) -> str:
    value = each.value
    if "QUOTED-PRINTABLE" in each.parameters:
        value = quopri.decodestring(value.encode()).decode(errors="replace")
    if version in ("", _VERSION_OLD):
        return value
    return _ESCAPES.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)


def _picture(each: _Property) -> bytes:
    """Return the image of a PHOTO; nothing for an address, or what is no image."""
    value = each.value
    prefix = _DATA_URI.match(value)
    if prefix is not None:
        value = value[prefix.end() :]
    try:
        picture = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return picture if len(picture) <= PICTURE_SIZE_MAX and type_of(picture) else b""
