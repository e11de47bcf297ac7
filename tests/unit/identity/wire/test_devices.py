"""The file of known devices."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError, DeviceId
from shoal.identity.wire.devices import (
    DEVICES_MAX,
    NAME_LENGTH_MAX,
    KnownDevice,
    pack_devices,
    read_name,
    unpack_devices,
)
from tests.unit.identity.samples import device_id
from tests.unit.identity.strategies import device_ids, known_devices

DEVICE = DeviceId.from_hex("246cbd833ee0aedade0896235328b0100b63844d058da3b3998c2809e5479046")
SAMPLE = b"\x81\xc4\x20" + DEVICE + b"\x92\xa2vm\xce\x6b\x00\xda\x12"  # reference, appendix A.5


def test_what_jami_wrote_is_read_and_written() -> None:
    """Byte for byte."""
    assert unpack_devices(SAMPLE) == {DEVICE: KnownDevice("vm", 0x6B00DA12 * 1000)}
    assert pack_devices(unpack_devices(SAMPLE)) == SAMPLE


@given(st.dictionaries(device_ids, known_devices, max_size=4))
def test_files_round_trip(devices: dict[DeviceId, KnownDevice]) -> None:
    """Names of any letters."""
    assert unpack_devices(pack_devices(devices)) == devices


def test_the_form_of_2026_is_read() -> None:
    """A map with milliseconds."""
    data = msgpack.packb({bytes(DEVICE): {"name": "vm", "syncMs": 1234}})

    assert unpack_devices(data) == {DEVICE: KnownDevice("vm", 1234)}


def test_a_device_never_synced_has_a_wrapped_time() -> None:
    """13.7 writes the earliest moment of its clock as an unsigned number."""
    data = msgpack.packb({bytes(DEVICE): ["vm", 2**64 - 9_223_372_037]})

    assert unpack_devices(data)[DEVICE].synced_ms == 0


def test_names_are_cut_and_made_text() -> None:
    """They are shown to people."""
    assert read_name("x" * 1000) == "x" * NAME_LENGTH_MAX
    assert read_name(b"\xff") == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    "item",
    [
        [],
        {bytes(32): 5},
        {bytes(32): ["name"]},
        {bytes(20): ["name", 0]},
        {"text": ["name", 0]},
        {bytes(device_id(n)): ["", 0] for n in range(DEVICES_MAX + 1)},
    ],
)
def test_what_is_no_file(item: object) -> None:
    """Other shapes, other ids, too many."""
    with pytest.raises(DecodeError):
        unpack_devices(msgpack.packb(item))


@given(st.binary(max_size=200))
def test_any_bytes_give_devices_or_an_error(data: bytes) -> None:
    """Disks fail, too."""
    try:
        unpack_devices(data)
    except DecodeError:
        return
