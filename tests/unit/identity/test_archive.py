"""Account archives: Jami's own form, both ways, and nothing lost on the way."""

from __future__ import annotations

import base64
import gzip
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.crypto import encrypt_with_password, stretch
from shoal.identity import archive as module
from shoal.identity.archive import (
    Archive,
    archive_key,
    change_password,
    is_encrypted,
    pack_archive,
    pack_with_key,
    refresh,
    unpack_archive,
    unpack_text,
    unpack_with_key,
)
from shoal.identity.contact import Contact
from shoal.identity.errors import (
    ArchiveError,
    ArchivePasswordError,
    UnreadableArchiveError,
)
from shoal.identity.revocations import revoke_device
from shoal.identity.settings import DEVICE_SETTINGS
from shoal.sim.entropy import SeededEntropy
from tests.unit.identity.samples import CONVERSATIONS, WALL, account, account_id

ALICE = account("alice")
FULL = Archive(
    revoke_device(
        ALICE.keys, ALICE.device.identity.certificate, entropy=SeededEntropy(1), wall_now=WALL
    ),
    {account_id(1): Contact(5000, 0, conversation_id=CONVERSATIONS[0])},
    {"Account.displayName": "Alice", "Some.setting": "of the future"},
    {"conversations": {CONVERSATIONS[0]: {"id": CONVERSATIONS[0], "created": 5}}, "later": [1]},
)
# Computed by an implementation that interoperates with 13.7; reference, appendix A.3.
VECTOR = bytes.fromhex(
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b"
    "ff8af4ab72b7f863391edfc5680dd9c6ec8b72880287e03cb13ac460cbe3c1be00"
)
HORSE = "correct horse"


def test_the_stretched_key_and_the_whole_file() -> None:
    """The vector's key, and the JSON within its file."""
    key = stretch(HORSE, bytes(range(16)), 32)

    assert key.hex() == "6e280aa28de8d13d9a6e2cea5a9c17a192e79fdd605dfd967b8ecfcc6c9710fb"
    assert archive_key(VECTOR, HORSE) == key
    assert unpack_text(VECTOR, HORSE) == b'{"a":"b"}'


def test_the_json_has_jamis_keys() -> None:
    """Base64 of PEM and DER, contacts with their defaults left out."""
    fields = json.loads(FULL.to_json())

    assert base64.b64decode(fields["ringAccountKey"]).startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert base64.b64decode(fields["ringCaKey"]).startswith(b"-----BEGIN PRIVATE KEY-----\n")
    certificate = base64.b64decode(fields["ringAccountCert"])
    assert certificate.decode() == ALICE.keys.account.certificate.to_pem()
    assert certificate.count(b"BEGIN CERTIFICATE") == 2
    assert len(base64.b64decode(fields["ethKey"])) == 32
    assert FULL.keys.revocations is not None
    assert base64.b64decode(fields["ringAccountCRL"]) == FULL.keys.revocations.der
    contact = {"added": 5, "conversationId": CONVERSATIONS[0]}
    assert fields["ringAccountContacts"] == {str(account_id(1)): contact}
    assert fields["Account.displayName"] == "Alice"
    assert fields["later"] == [1]


def test_a_fresh_archive_has_four_keys() -> None:
    """As Jami's; they are enough for an import."""
    fields = json.loads(Archive(ALICE.keys).to_json())

    assert sorted(fields) == ["ethKey", "ringAccountCert", "ringAccountKey", "ringCaKey"]
    assert Archive.from_json(json.dumps(fields)) == Archive(ALICE.keys)


def test_without_password() -> None:
    """gzip; files of old were packed twice."""
    data = pack_archive(FULL)

    assert data.startswith(b"\x1f\x8b\x08")
    assert not is_encrypted(data)
    assert unpack_archive(data) == FULL
    assert unpack_archive(gzip.compress(data)) == FULL
    assert unpack_archive(data, "not needed") == FULL


def test_with_password() -> None:
    """Compressed by zlib inside, a new salt each time; wrong passwords and none are the same."""
    data = pack_archive(FULL, "secret")

    assert is_encrypted(data)
    assert data[:16] != pack_archive(FULL, "secret")[:16]
    assert unpack_archive(data, "secret") == FULL
    assert unpack_with_key(data, archive_key(data, "secret")) == FULL
    for password in ("", "wrong"):
        with pytest.raises(ArchivePasswordError):
            unpack_archive(data, password)


def test_a_salt_that_looks_like_gzip() -> None:
    """One in 65,536 does."""
    text = zlib.compress(FULL.to_json().encode())
    data = encrypt_with_password(text, "secret", b"\x1f\x8b\x08" + bytes(13))

    assert unpack_archive(data, "secret") == FULL
    with pytest.raises(UnreadableArchiveError):
        unpack_archive(data)


def test_with_a_key_that_a_vault_keeps() -> None:
    """The scheme "key" of 2024: the salt stays."""
    key, salt = bytes(range(32)), bytes(16)
    data = pack_with_key(FULL, key, salt)

    assert data.startswith(salt)
    assert unpack_with_key(data, key) == FULL
    for wrong in (bytes(32), b"short"):
        with pytest.raises(ArchivePasswordError):
            unpack_with_key(data, wrong)


def test_changing_the_password() -> None:
    """From none to one, to another, to none again; the text stays as it is."""
    plain = pack_archive(FULL)
    first = change_password(plain, "", "one")
    second = change_password(first, "one", "two")
    with pytest.raises(ArchivePasswordError):
        change_password(second, "one", "three")

    assert unpack_text(second, "two") == unpack_text(plain)
    assert change_password(second, "two", "") == plain


def test_what_a_foreign_archive_holds_is_kept() -> None:
    """Whatever it is, except for a device's private key, which 13.7 puts in."""
    fields = {
        **json.loads(FULL.to_json()),
        "New.setting": "x",
        "newObject": {"deep": [1, {"er": None}]},
        "TLS.privateKeyFile": "c2VjcmV0",
        "TLS.certificateFile": "x",
        "Account.deviceName": "old laptop",
    }
    archive = Archive.from_json(json.dumps(fields))
    written = json.loads(archive.to_json())

    assert written == {name: it for name, it in fields.items() if name not in DEVICE_SETTINGS}
    assert "TLS.privateKeyFile" not in archive.settings
    assert json.loads(
        Archive(ALICE.keys, settings={"TLS.privateKeyFile": "x"}).to_json()
    ).keys() == (json.loads(Archive(ALICE.keys).to_json()).keys())


def test_refreshing_before_an_export() -> None:
    """Contacts take the place of the old ones, settings and conversations are added."""
    archive = refresh(FULL, contacts={}, settings={"RingNS.uri": "u"}, others={"conversations": {}})

    assert archive.contacts == {}
    assert archive.settings == {**FULL.settings, "RingNS.uri": "u"}
    assert archive.others == {"conversations": {}, "later": [1]}
    assert refresh(FULL, keys=ALICE.keys).keys == ALICE.keys
    assert refresh(FULL) == FULL


def test_an_account_of_an_organisation() -> None:
    """Whose authority's key is elsewhere."""
    fields = json.loads(FULL.to_json())
    del fields["ringCaKey"]
    archive = Archive.from_json(json.dumps(fields))

    assert archive.keys.authority_key is None
    assert json.loads(archive.to_json()) == fields


@pytest.mark.parametrize(
    "change",
    [
        {"ringAccountKey": None},
        {"ringAccountKey": "!"},
        {"ringAccountKey": base64.b64encode(b"no key").decode()},
        {"ringAccountCert": base64.b64encode(b"no certificate").decode()},
        {"ringCaKey": base64.b64encode(b"no key").decode()},
        {"ethKey": base64.b64encode(bytes(32)).decode()},
        {"ethKey": 5},
        {"ringAccountCRL": base64.b64encode(b"no list").decode()},
        {"ringAccountContacts": []},
        {"ringAccountContacts": {"short": {}}},
        {"ringAccountContacts": {"0" * 40: {"added": "x"}}},
        {"ringAccountKey": json.loads(Archive(account("bob").keys).to_json())["ringAccountKey"]},
    ],
)
def test_what_is_no_archive(change: dict[str, object]) -> None:
    """The last one has the key of another account."""
    fields = json.loads(FULL.to_json())
    for name, it in change.items():
        if it is None:
            del fields[name]
        else:
            fields[name] = it
    with pytest.raises(UnreadableArchiveError):
        Archive.from_json(json.dumps(fields))


def test_bombs_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros compress a thousandfold; and files that are cut off are no files."""
    monkeypatch.setattr(module, "ARCHIVE_SIZE_MAX", 100_000)
    with pytest.raises(UnreadableArchiveError, match="more than"):
        unpack_text(gzip.compress(bytes(1_000_000)))
    with pytest.raises(UnreadableArchiveError, match="more than"):
        unpack_text(bytes(100_001))
    with pytest.raises(UnreadableArchiveError, match="more than"):
        unpack_with_key(bytes(100_001), bytes(32))
    with pytest.raises(UnreadableArchiveError, match="cut off"):
        unpack_text(pack_archive(FULL)[:-9])


@settings(max_examples=50)
@given(
    st.binary(max_size=100).map(lambda data: b"\x1f\x8b\x08" + data)
    | st.binary(max_size=100).map(gzip.compress)
    | st.recursive(st.none() | st.text(), lambda it: st.dictionaries(st.text(), it), max_leaves=9)
    .map(json.dumps)
    .map(str.encode)
    .map(gzip.compress)
)
def test_any_bytes_give_an_archive_or_an_error(data: bytes) -> None:
    """Whatever is in the file that somebody imports."""
    with pytest.raises(ArchiveError):
        unpack_archive(data)


@pytest.mark.parametrize("text", ["[]", "[" * 5000, "7", "\ud800".encode("utf-8", "surrogatepass")])
def test_json_that_is_none(text: str | bytes) -> None:
    """Nor any other JSON."""
    with pytest.raises(UnreadableArchiveError):
        Archive.from_json(text)


def test_secrets_are_not_shown() -> None:
    """An archive in a traceback gives nothing away."""
    text = repr(FULL)

    assert "PRIVATE" not in text
    assert "of the future" not in text
    assert repr(FULL.keys.chain_key) not in text
