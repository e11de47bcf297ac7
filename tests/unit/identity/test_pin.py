"""Linking by PIN."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import InfoHash
from shoal.crypto import aes_encrypt
from shoal.dht import Value
from shoal.identity import pin as module
from shoal.identity.archive import Archive
from shoal.identity.errors import (
    ArchiveTooLargeError,
    InvalidPinError,
    UnreadableArchiveError,
)
from shoal.identity.pin import (
    PinPlace,
    draw_pin,
    find_place,
    open_archive,
    parse_pin,
    pin_seed,
    pin_seeds,
    seal_archive,
)
from shoal.sim.entropy import SeededEntropy
from tests.unit.identity.samples import account

ARCHIVE = Archive(account("alice").keys)
PLACE = PinPlace(bytes(range(32)))


def test_where_an_archive_lies() -> None:
    """The vector of the reference, appendix A.3; the PIN as people type it."""
    place = find_place("abcd 1234", "pypass", 1496016)

    assert place.key.hex() == "9d507f4def624c0af745b47815a0ce8cf4e3bfc3aa24db438bf7a9566be6f8e2"
    assert place.infohash == InfoHash.from_hex("bfc3b1517e6c310c80cd5948de1aad9cdac56f16")
    assert place.key.hex() not in repr(place)


def test_both_seeds_are_tried() -> None:
    """Twenty minutes each."""
    assert pin_seed(1496016 * 1200 + 1199.9) == 1496016
    assert pin_seeds(1496017 * 1200.0) == (1496017, 1496016)


def test_a_pin_has_eight_letters_and_digits() -> None:
    """41 bits of chance."""
    pins = {draw_pin(SeededEntropy(seed)) for seed in range(50)}

    assert len(pins) == 50
    assert all(parse_pin(pin.lower()) == pin for pin in pins)
    for text in ("", "1234567", "123456789", "1234567Ü", "1234-567"):
        with pytest.raises(InvalidPinError):
            parse_pin(text)


def test_an_archive_travels_under_a_pin() -> None:
    """As a plain value of type 0 without an owner."""
    value = seal_archive(ARCHIVE, PLACE)

    assert (value.type, value.owner, value.user_type) == (0, None, "")
    assert open_archive(value, PLACE) == ARCHIVE


def test_an_account_that_is_too_large_is_refused() -> None:
    """Saying how large it is."""
    entropy = SeededEntropy(1)
    large = replace(ARCHIVE, settings={"x": entropy.token_bytes(60_000).hex()})
    with pytest.raises(ArchiveTooLargeError) as error:
        seal_archive(large, PLACE)
    assert error.value.size > error.value.limit == 65_536


def test_what_others_put_there_is_not_ours() -> None:
    """Anybody may; what opens and is no archive is an error."""
    assert open_archive(Value(bytes(100)), PLACE) is None
    assert open_archive(Value(b""), PLACE) is None
    assert open_archive(seal_archive(ARCHIVE, PLACE), PinPlace(bytes(32))) is None
    for packed in (b"no zlib", zlib.compress(b"no json"), zlib.compress(b"{}" * 99)[:-5]):
        with pytest.raises(UnreadableArchiveError):
            open_archive(Value(aes_encrypt(packed, PLACE.key)), PLACE)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever knows the PIN may be hostile."""
    monkeypatch.setattr(module, "ARCHIVE_SIZE_MAX", 1000)
    bomb = Value(aes_encrypt(zlib.compress(bytes(100_000)), PLACE.key))
    with pytest.raises(UnreadableArchiveError, match="too large"):
        open_archive(bomb, PLACE)


@given(st.binary(max_size=100))
def test_any_value_is_opened_or_not(data: bytes) -> None:
    """Without an exception that nobody expects."""
    assert open_archive(Value(data), PLACE) is None
