"""The files of contacts and requests."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import AccountId, DecodeError
from shoal.identity.contact import Contact, StoredRequest
from shoal.identity.wire import contacts as wire
from shoal.identity.wire.contacts import (
    REQUESTS_MAX,
    pack_contacts,
    pack_requests,
    unpack_contacts,
    unpack_exactly,
    unpack_file,
    unpack_requests,
)
from tests.unit.identity.strategies import account_ids, contacts, stored_requests

# As 13.7 wrote it, but for the account; reference, appendix A.5.
ACCOUNT = AccountId.from_hex("0fbcc905" + "00" * 14 + "d9db")
CONVERSATION = "a212def8f3076f0f194ea1f1f79bbcd7954d6646"
SAMPLE = (
    bytes.fromhex("81c414")
    + ACCOUNT
    + bytes.fromhex(
        "85a56164646564ce6b00dd21a772656d6f76656400a9636f6e6669726d6564c2a662616e6e6564c2"
        "ae636f6e766572736174696f6e4964d928"
    )
    + CONVERSATION.encode()
)


def test_what_jami_wrote_is_read_and_written() -> None:
    """Byte for byte."""
    found = unpack_contacts(SAMPLE)

    assert found == {ACCOUNT: Contact(0x6B00DD21 * 1000, conversation_id=CONVERSATION)}
    assert pack_contacts(found) == SAMPLE
    assert pack_requests({}) == b"\x80"
    assert unpack_requests(b"\x80") == {}


@given(
    st.dictionaries(account_ids, contacts, max_size=5),
    st.dictionaries(account_ids, stored_requests, max_size=5),
)
def test_files_round_trip(
    book: dict[AccountId, Contact], requests: dict[AccountId, StoredRequest]
) -> None:
    """What is saved is loaded."""
    assert unpack_contacts(pack_contacts(book)) == book
    assert unpack_requests(pack_requests(requests)) == requests


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """More entries than are ever kept, and files that are larger than any."""
    crowd = {AccountId(n.to_bytes(20)): StoredRequest() for n in range(REQUESTS_MAX + 1)}
    with pytest.raises(DecodeError, match="256 at most"):
        unpack_requests(pack_requests(crowd))
    monkeypatch.setattr(wire, "FILE_SIZE_MAX", 3)
    with pytest.raises(DecodeError, match="3 at most"):
        unpack_file(b"\xa3abc")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x90",
        SAMPLE + b"\0",
        SAMPLE[:-1],
        b"\x81\xa1k\x80",
        b"\xdd\xff\xff\xff\xff" * 200,  # arrays of four thousand million within one another
        b"\x81\x90\x80",  # a key that cannot be one
        b"\x91" * 5000,
    ],
)
def test_what_is_no_file(data: bytes) -> None:
    """Cut off, too long, of another shape; and lengths that nothing stands behind."""
    with pytest.raises(DecodeError):
        unpack_contacts(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_file_or_an_error(data: bytes) -> None:
    """Disks fail, too."""
    for read in (unpack_contacts, unpack_requests, unpack_exactly):
        try:
            read(data)
        except DecodeError:
            continue


def test_text_that_is_none_is_replaced() -> None:
    """What is not UTF-8 cannot be shown, nor written again."""
    assert unpack_exactly(msgpack.packb("x")[:0] + b"\xa1\xff") == "\N{REPLACEMENT CHARACTER}"
