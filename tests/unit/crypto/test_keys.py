"""Keys: ids, signatures, formats, and which ones are refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from shoal.crypto import der, keys
from shoal.crypto.errors import InvalidKeyError, PasswordError, UnsupportedKeyError
from shoal.crypto.keys import KeyKind, PrivateKey, PublicKey
from tests.unit.crypto.samples import DHTNODE, other_rsa_key, rsa_key, vectors

RSA_OID = bytes.fromhex("2a864886f70d010101")


def spki_with(oid: str) -> bytes:
    """Return the test key's SPKI under another algorithm identifier."""
    _, bits = der.parse(rsa_key().public_key.spki).children()
    algorithm = der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, bytes.fromhex(oid)))
    return der.encode(der.SEQUENCE, algorithm, bits.encoded)


def spki_of(n: int, e: int) -> bytes:
    """Return the SPKI of an RSA key with these numbers, whoever may hold it."""
    oid = der.encode(der.OBJECT_IDENTIFIER, RSA_OID)
    algorithm = der.encode(der.SEQUENCE, oid, der.encode(der.NULL))
    numbers = der.encode(der.SEQUENCE, der.encode_integer(n), der.encode_integer(e))
    return der.encode(der.SEQUENCE, algorithm, der.encode(der.BIT_STRING, b"\0", numbers))


def test_reference_key_has_the_reference_ids() -> None:
    """A24: SPKI, both ids and the place of the long one in the DHT."""
    key, expected = rsa_key().public_key, vectors()
    modulus = int(expected["key.p"], 16) * int(expected["key.q"], 16)

    assert key.spki == bytes.fromhex(expected["key.spki_prefix"]) + modulus.to_bytes(
        256
    ) + bytes.fromhex("0203010001")
    assert key.id.hex() == expected["key.id"]
    assert key.long_id.hex() == expected["key.long_id"]
    assert key.long_id.infohash.hex() == expected["key.infohash"]
    assert (key.id, key.long_id) == (key.id, key.long_id)


def test_reference_signature_verifies() -> None:
    """A25: signed by OpenDHT 2.4.12; our signature of the same bytes is the same."""
    packed = bytes.fromhex(vectors()["signed_value"])
    body = packed[packed.index(b"\x85\xa3seq") : packed.index(b"\xa3sig")]
    signature = packed[-256:]

    assert rsa_key().public_key.verify(body, signature)
    assert rsa_key().sign(body) == signature
    assert keys.verify(rsa_key().public_key.spki, body, signature)


@pytest.mark.parametrize("length", [0, 5, 40_000])
def test_signatures_hold_for_key_and_data(length: int) -> None:
    """Other data, another key, a damaged or cut signature: no."""
    data, key = bytes(length), rsa_key().public_key
    signature = rsa_key().sign(data)
    damaged = signature[:7] + bytes([signature[7] ^ 1]) + signature[8:]

    assert key.verify(data, signature)
    assert not key.verify(data + b"\0", signature)
    assert not key.verify(data, damaged)
    assert not key.verify(data, signature[:-1])
    assert not other_rsa_key().public_key.verify(data, signature)


def test_verify_says_no_to_what_is_no_key() -> None:
    """Peers send anything as owner."""
    assert not keys.verify(b"", b"", bytes(256))
    assert not keys.verify(spki_with("2a864886f70d01010a"), b"", bytes(256))


@pytest.mark.parametrize("length", [0, 245, 246, 5000])
def test_sealed_data_opens(length: int) -> None:
    """One block and hybrid, through the keys."""
    sealed = rsa_key().public_key.encrypt(bytes(length))
    assert rsa_key().decrypt(sealed) == bytes(length)


@pytest.mark.parametrize("bits", [256, 384, 521])
def test_curve_keys_sign_no_values(bits: int) -> None:
    """They are for certificates; commands with them say so."""
    key = PrivateKey.generate_ec(bits)

    assert (key.public_key.kind, key.public_key.bits) == (KeyKind.EC, bits)
    assert PublicKey.from_spki(key.public_key.spki) == key.public_key
    assert not key.public_key.verify(b"", bytes(256))
    for refused in (key.sign, key.decrypt, key.public_key.encrypt):
        with pytest.raises(UnsupportedKeyError, match="elliptic"):
            refused(b"")


def test_generated_keys_are_rsa() -> None:
    """Of the size asked for."""
    key = PrivateKey.generate(1024).public_key
    assert (key.kind, key.bits) == (KeyKind.RSA, 1024)


@pytest.mark.parametrize("bits", [512, 1023, 8193])
def test_sizes_out_of_bounds_are_not_generated(bits: int) -> None:
    """Before any work is done."""
    with pytest.raises(UnsupportedKeyError, match=str(bits)):
        PrivateKey.generate(bits)


def test_unknown_curves_are_not_generated() -> None:
    """Only those of NIST."""
    with pytest.raises(UnsupportedKeyError):
        PrivateKey.generate_ec(255)


@pytest.mark.parametrize("password", [None, "", "päss"])
@pytest.mark.parametrize("key", [rsa_key(), PrivateKey.generate_ec()], ids=["RSA", "EC"])
def test_private_keys_survive_a_round_trip(key: PrivateKey, password: str | None) -> None:
    """PEM and DER, with and without a password; an empty one is none."""
    text, data = key.export(password), key.export_der(password)

    assert ("ENCRYPTED" in text) == bool(password)
    for loaded in (
        PrivateKey.load(text.encode(), password),
        PrivateKey.load(data, password),
    ):
        assert loaded == key
        assert hash(loaded) == hash(key)


@pytest.mark.parametrize("export", ["export", "export_der"])
def test_wrong_and_missing_passwords_are_told_apart_from_garbage(export: str) -> None:
    """They are PasswordErrors, in both formats."""
    data = getattr(rsa_key(), export)("pass")
    data = data.encode() if isinstance(data, str) else data
    for password in (None, "", "wrong"):
        with pytest.raises(PasswordError):
            PrivateKey.load(data, password)


def test_a_password_that_is_not_needed_is_not_used() -> None:
    """As GnuTLS does."""
    assert PrivateKey.load(rsa_key().export().encode(), "pass").public_key.id


def test_traditional_formats_are_read() -> None:
    """PKCS #1 and SEC 1, as OpenSSL's older tools write them."""
    for native in (rsa_key().native, ec.generate_private_key(ec.SECP256R1())):
        data = native.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        assert PrivateKey.load(data).public_key == PublicKey(native.public_key())


def test_primes_of_proven_keys_are_not_looked_at() -> None:
    """That takes long, and the key was sound when it was kept."""
    sound = rsa_key().native
    assert isinstance(sound, rsa.RSAPrivateKey)
    p, q = sound.private_numbers().p * 3, sound.private_numbers().q
    data = key_of(p, q)
    with pytest.raises(InvalidKeyError):
        PrivateKey.load(data)
    assert PrivateKey.load(data, is_proven=True).public_key.bits == (p * q).bit_length()


def test_proven_keys_that_compute_nothing_are_refused() -> None:
    """Somebody else's file can be a home's, by a backup: even factors may fit together."""
    sound = rsa_key().native
    assert isinstance(sound, rsa.RSAPrivateKey)
    data = key_of(sound.private_numbers().p * 2, sound.private_numbers().q)
    with pytest.raises(InvalidKeyError):
        PrivateKey.load(data, is_proven=True)


def key_of(p: int, q: int) -> bytes:
    """Return a key in PEM whose numbers fit together, whether the factors are prime or not."""
    d = pow(65_537, -1, (p - 1) * (q - 1))
    crt = (rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q))
    numbers = rsa.RSAPrivateNumbers(p, q, d, *crt, rsa.RSAPublicNumbers(65_537, p * q))
    native = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    return native.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("name", ["n", "p", "q", "d", "dmp1", "dmq1", "iqmp"])
def test_proven_keys_that_were_damaged_are_refused(name: str) -> None:
    """Their numbers do not fit together."""
    right = rsa_key().export_der()
    assert PrivateKey.load(right, is_proven=True) == rsa_key()
    assert isinstance(rsa_key().native, rsa.RSAPrivateKey)
    numbers = rsa_key().native.private_numbers()
    value = getattr(numbers.public_numbers if name == "n" else numbers, name)
    length = (value.bit_length() + 7) // 8
    wrong = right.replace(value.to_bytes(length), (value ^ 2).to_bytes(length))
    assert wrong != right
    with pytest.raises(InvalidKeyError):
        PrivateKey.load(wrong, is_proven=True)


def test_proven_keys_may_be_encrypted_or_of_a_curve() -> None:
    """What is not RSA is read as ever, and so is who has a password."""
    curve = PrivateKey.generate_ec()
    assert PrivateKey.load(curve.export().encode(), is_proven=True) == curve
    sealed = rsa_key().export("pass").encode()
    assert PrivateKey.load(sealed, "pass", is_proven=True) == rsa_key()
    with pytest.raises(PasswordError):
        PrivateKey.load(sealed, "wrong", is_proven=True)


@pytest.mark.parametrize("name", ["plain.pem", "plain_ca.pem", "secret.pem"])
def test_dhtnode_keys_are_read(name: str) -> None:
    """Made by 2.4.12: RSA and P-384, one under a password."""
    key = PrivateKey.load((DHTNODE / name).read_bytes(), "secret")
    assert str(key.public_key.id) in repr(key)


@pytest.mark.parametrize("data", [b"", b"\x30\x00", b"-----BEGIN PRIVATE KEY-----\n"])
def test_garbage_is_no_private_key(data: bytes) -> None:
    """PEM or DER."""
    with pytest.raises(InvalidKeyError):
        PrivateKey.load(data)


def test_other_private_keys_are_refused() -> None:
    """Ed25519 by kind, secp256k1 by curve, RSA by size."""
    for native in (
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256K1()),
    ):
        data = native.private_bytes(
            Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass")
        )
        with pytest.raises(UnsupportedKeyError):
            PrivateKey.load(data, "pass")


def test_private_keys_of_unknown_kinds_are_refused() -> None:
    """With the kind that the library names."""
    oid = der.encode(der.OBJECT_IDENTIFIER, bytes.fromhex("2a864886f70d010107"))
    data = der.encode(
        der.SEQUENCE,
        der.encode_integer(0),
        der.encode(der.SEQUENCE, oid),
        der.encode(der.OCTET_STRING, b""),
    )
    with pytest.raises(UnsupportedKeyError):
        PrivateKey.load(data)


def test_public_keys_survive_a_round_trip() -> None:
    """SPKI and PEM; the text ends with a line break and holds no NUL."""
    key = rsa_key().public_key
    text = key.to_pem()

    assert PublicKey.load(text.encode()) == key
    assert PublicKey.load(text.encode() + b"\0") == key  # as 2.4.12 has it in JSON
    assert PublicKey.load(key.spki) == key
    assert text.endswith("-----END PUBLIC KEY-----\n")
    assert "\0" not in text
    assert key != text


@pytest.mark.parametrize(
    "data",
    [
        b"-----BEGIN PUBLIC KEY-----\n",
        b"-----BEGIN OTHER-----\nAAAA\n-----END OTHER-----\n",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ],
)
def test_garbage_in_pem_is_no_public_key(data: bytes) -> None:
    """No end, no key, no SPKI."""
    with pytest.raises(InvalidKeyError):
        PublicKey.load(data)


@pytest.mark.parametrize(
    ("oid", "kind"),
    [
        ("2a864886f70d010107", "RSAES-OAEP"),
        ("2a864886f70d01010a", "RSASSA-PSS"),
        ("2b6570", "Ed25519"),
        ("2a0304", "2a0304"),
    ],
)
def test_keys_of_other_kinds_are_refused_by_name(oid: str, kind: str) -> None:
    """PSS keys above all: the library would take them for plain ones."""
    with pytest.raises(UnsupportedKeyError, match=kind):
        PublicKey.from_spki(spki_with(oid))


def test_curves_of_others_are_refused() -> None:
    """The library knows the first, and not the second."""
    known = ec.generate_private_key(ec.SECP256K1()).public_key()
    data = known.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    unknown = data.replace(bytes.fromhex("2b8104000a"), bytes.fromhex("2b8104007f"))

    for spki in (data, unknown):
        with pytest.raises(UnsupportedKeyError):
            PublicKey.from_spki(spki)


def test_costly_keys_are_refused() -> None:
    """A large modulus or exponent would make verifying a burden on the packet path."""
    modulus = rsa_key().public_key.native
    assert isinstance(modulus, rsa.RSAPublicKey)
    n = modulus.public_numbers().n
    for spki in (
        spki_of(2**8192 + 1, 65_537),
        spki_of(2**1023 - 1, 65_537),
        spki_of(n, 2**64 + 1),
    ):
        with pytest.raises((UnsupportedKeyError, InvalidKeyError)):
            PublicKey.from_spki(spki)
    assert PublicKey.from_spki(spki_of(n, 2**64 - 1)).bits == 2048


def test_long_keys_are_not_even_parsed() -> None:
    """2 KiB hold the largest key that we take."""
    with pytest.raises(InvalidKeyError, match="2048 at most"):
        PublicKey.from_spki(bytes(2049))


def test_spki_comes_out_canonical() -> None:
    """Without the NULL parameters the key is the same, and so are its ids, as in GnuTLS."""
    bare = spki_with(RSA_OID.hex())

    assert bare != rsa_key().public_key.spki
    assert PublicKey.from_spki(bare).spki == rsa_key().public_key.spki


def test_parsed_keys_are_remembered() -> None:
    """Verifying a thousand values of one owner parses once."""
    spki = other_rsa_key().public_key.spki
    assert PublicKey.from_spki(spki) is PublicKey.from_spki(bytes(bytearray(spki)))


def test_secrets_do_not_show() -> None:
    """Neither key prints more than its id."""
    assert repr(rsa_key()) == f"PrivateKey(of PublicKey(RSA-2048, {vectors()['key.id']}))"


@given(st.binary(max_size=64))
def test_any_bytes_give_a_key_or_an_error(data: bytes) -> None:
    """Reading is total."""
    for load in (PublicKey.load, PublicKey.from_spki, PrivateKey.load):
        with pytest.raises((InvalidKeyError, UnsupportedKeyError, PasswordError)):
            load(data)


@given(st.integers(0, 293), st.integers(1, 255))
def test_damaged_keys_give_a_key_or_an_error(position: int, flip: int) -> None:
    """One byte changed: still a key, or an error of ours."""
    spki = bytearray(rsa_key().public_key.spki)
    spki[position] ^= flip
    try:
        key = PublicKey.from_spki(bytes(spki))
    except (InvalidKeyError, UnsupportedKeyError):
        return
    assert not key.verify(b"data", rsa_key().sign(b"data"))
