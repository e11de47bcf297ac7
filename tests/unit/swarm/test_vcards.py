"""vCards: as Jami writes them, as other programs do, hostile ones, and our own."""

from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.swarm import vcards
from shoal.swarm.errors import InvalidProfileError
from shoal.swarm.vcards import (
    DESCRIPTION_SIZE_MAX,
    NAME_SIZE_MAX,
    OTHERS_MAX,
    PICTURE_SIZE_MAX,
    VCard,
    clean,
    read_vcard,
    type_of,
    write_group,
    write_person,
)

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
JPEG = b"\xff\xd8\xff\xe0 and so on"
NAMES = st.text(max_size=20).map(clean)
CARDS = st.builds(
    VCard, NAMES, NAMES, st.sampled_from([b"", PNG, JPEG, b"GIF89a", b"RIFF\x00\x00\x00\x00WEBP"])
)


@given(CARDS)
def test_round_trip(card: VCard) -> None:
    """What is written is read."""
    assert read_vcard(write_person(card)) == card
    assert read_vcard(write_group(card)) == card


def test_a_group_as_jami_writes_it() -> None:
    """Byte for byte, with what others put in, and with nothing."""
    account, device = "0b9a824ba5363cfb4a9e40bfb51f59fa93fa5c69", "ab" * 32
    text = (
        "BEGIN:VCARD\nVERSION:2.1\nFN:My group\nDESCRIPTION:desc of group\n"
        f"PHOTO;ENCODING=BASE64:{base64.b64encode(PNG).decode()}\n"
        f"RDV_ACCOUNT:{account}\n\nRDV_DEVICE:{device}\n\nEND:VCARD"
    ).encode()
    card = read_vcard(text)

    assert card.name == "My group"
    assert card.picture == PNG
    assert write_group(card) == text
    assert write_group(VCard("x")) == (
        b"BEGIN:VCARD\nVERSION:2.1\nFN:x\nDESCRIPTION:\nPHOTO;ENCODING=BASE64\n\n\nEND:VCARD"
    )


def test_a_person_as_jami_writes_one() -> None:
    """Of a type on the same line; more properties stay."""
    data = base64.b64encode(JPEG).decode()
    text = (
        "BEGIN:VCARD\nVERSION:2.1\nFN:Ada\nKIND:application\n"
        f"PHOTO;ENCODING=BASE64;TYPE=JPEG:{data}\nEND:VCARD\n"
    )
    card = read_vcard(text.encode())

    assert card == VCard("Ada", "", JPEG, (("KIND", "application"),))
    assert card.picture_type == "JPEG"
    assert read_vcard(write_person(card)) == card


@pytest.mark.parametrize(
    ("text", "card"),
    [
        ("VERSION:3.0\r\nFN:A\\, B\\; C\\\\ D\\nE\r\nNOTE:x", VCard("A, B; C\\ D E", "x")),
        ("VERSION:3.0\nFN:lo\n ng", VCard("long")),
        ("VERSION:2.1\nFN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=B6r=\ng", VCard("Jörg")),
        ("VERSION:2.1\nN:Byron;Ada;;;", VCard("Ada Byron")),
        ("item1.FN:Ada\nfn:second", VCard("Ada")),
        ("VERSION:4.0\nPHOTO:data:image/png;base64,@", VCard(picture=PNG)),
        ("VERSION:2.1\nPHOTO;ENCODING=BASE64:\n @\n\nFN:x", VCard("x", picture=PNG)),
        ("VERSION:2.1\nPHOTO;PNG;BASE64:\n@\n\nFN:x", VCard("x", picture=PNG)),
        ("PHOTO;VALUE=uri:https://example.org/a.png\nFN:x", VCard("x")),
        ("PHOTO;ENCODING=BASE64;TYPE=PNG:PHN2Zz48L3N2Zz4=", VCard()),  # an SVG says it is a PNG
        ("PHOTO;ENCODING=BASE64:!!", VCard()),
        ("FN:a\x00b\u202ec\td", VCard("a b c d")),
        ("a line without a colon\nFN:x", VCard("x")),
    ],
)
def test_what_other_programs_write(text: str, card: VCard) -> None:
    """Folded, escaped, quoted, with pictures inside; addresses and scripts are no pictures."""
    text = text.replace("@", base64.b64encode(PNG).decode())
    assert read_vcard(f"BEGIN:VCARD\r\n{text}\nEND:VCARD".encode()) == card
    assert read_vcard(f"\ufeffbegin:vcard\n{text}\n".encode()) == card


@given(st.binary() | st.text().map(lambda text: f"BEGIN:VCARD\n{text}\nEND:VCARD".encode()))
def test_any_bytes(data: bytes) -> None:
    """A card within the limits, or `DecodeError`; a card can be written again."""
    with suppress(DecodeError):
        card = read_vcard(data)
        again = read_vcard(write_person(card))
        assert (again.name, again.description) == (clean(card.name), clean(card.description))
        write_group(card)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the whole, its lines, names, and what is kept unread."""
    for data in (b"", b"BEGIN:VCALENDAR\nEND:VCALENDAR"):
        with pytest.raises(DecodeError):
            read_vcard(data)
    long = read_vcard(
        b"BEGIN:VCARD\nFN:" + b"x" * 5_000 + b"\nNOTE:" + b"y" * 5_000 + b"\nX-Y:" + b"z" * 5_000
    )
    assert (len(long.name), len(long.description)) == (NAME_SIZE_MAX, DESCRIPTION_SIZE_MAX)
    assert long.others == ()
    many = read_vcard(b"BEGIN:VCARD\n" + b"X-A:b\n" * 500)
    assert len(many.others) == OTHERS_MAX
    huge = base64.b64encode(PNG + bytes(PICTURE_SIZE_MAX))
    assert read_vcard(b"BEGIN:VCARD\nPHOTO;ENCODING=BASE64:" + huge).picture == b""
    monkeypatch.setattr(vcards, "LINES_MAX", 3)
    with pytest.raises(DecodeError):
        read_vcard(b"BEGIN:VCARD\n\n\n\n")
    monkeypatch.setattr(vcards, "VCARD_SIZE_MAX", 3)
    with pytest.raises(DecodeError):
        read_vcard(b"BEGIN:VCARD\n")


def test_what_is_cut_off() -> None:
    """It is read as far as it goes, unless its end is asked for."""
    whole = write_person(VCard("Ada", picture=PNG))
    assert read_vcard(whole[:-5]).name == "Ada"
    assert read_vcard(whole, needs_end=True) == read_vcard(whole)
    for size in range(len(whole) - len("\n")):
        with pytest.raises(DecodeError):
            read_vcard(whole[:size], needs_end=True)


def test_changes() -> None:
    """What is None stays; what others would not see is refused."""
    card = VCard("a", "b", PNG, (("X", "y"),))
    assert card.changed(name="c\nd") == VCard("c d", "b", PNG, (("X", "y"),))
    assert card.changed(picture=b"", description="") == VCard("a", "", b"", (("X", "y"),))
    with pytest.raises(InvalidProfileError):
        card.changed(name="x" * (NAME_SIZE_MAX + 1))
    with pytest.raises(InvalidProfileError):
        card.changed(description="x" * (DESCRIPTION_SIZE_MAX + 1))
    with pytest.raises(InvalidProfileError):
        card.changed(picture=PNG + bytes(PICTURE_SIZE_MAX))
    with pytest.raises(InvalidProfileError):
        card.changed(picture=b"<svg/>")
    assert type_of(b"") == ""
