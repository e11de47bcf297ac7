"""Whose device is this: chains that are believed, and each reason not to believe one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import AccountId, DeviceId
from shoal.crypto import Certificate, Identity, PrivateKey, revoke
from shoal.identity.chain import (
    CHAIN_LENGTH_MAX,
    CHAIN_SIZE_MAX,
    check_device,
    expect,
    parse_chain,
)
from shoal.identity.errors import (
    ChainError,
    CyclicChainError,
    ExpiredError,
    NotAnIssuerError,
    NotYetValidError,
    OversizeChainError,
    RevokedError,
    SelfSignedError,
    UnreadableChainError,
    WeakChainError,
    WrongAccountError,
    WrongDeviceError,
    WrongSignatureError,
)
from shoal.identity.revocations import Revocations
from tests.unit.identity.samples import WALL, YEAR, account, account_id, authority, device_id, under

CA = authority()
ACCOUNT = under(CA, "account", is_ca=True)
DEVICE = under(ACCOUNT, "device").certificate


def test_a_real_chain_names_device_and_account() -> None:
    """Device, account and authority, as `create_account` makes them."""
    new = account("alice")
    certificate = new.device.identity.certificate

    chain = check_device(certificate, WALL, account=new.keys.id, device=new.device.device)

    assert chain.account == new.keys.id == certificate.chain()[1].id
    assert chain.device == certificate.long_id
    assert chain.short_id == certificate.id
    assert chain.authority == certificate.chain()[2].id
    assert chain.spki == certificate.public_key.spki
    assert chain.issuers == tuple(link.id for link in certificate.chain())


def test_a_chain_need_not_come_with_its_authority() -> None:
    """Then the account is what stands on top."""
    bare = DEVICE.with_issuer(ACCOUNT.certificate.with_issuer(None))

    chain = check_device(bare, WALL)

    assert chain.account == chain.authority == ACCOUNT.id


def test_intermediate_authorities_are_fine() -> None:
    """As organisations have them: the account is still the direct issuer."""
    middle = under(CA, "department", is_ca=True)
    employee = under(middle, "employee", is_ca=True)

    chain = check_device(under(employee, "device").certificate, WALL)

    assert chain.account == employee.id
    assert chain.authority == CA.id


def test_a_device_alone_is_refused() -> None:
    """With no issuer, or with itself as the issuer."""
    alone = DEVICE.with_issuer(None)
    ca_alone = CA.certificate
    itself = CA.certificate.with_issuer(CA.certificate)

    for certificate in (alone, ca_alone, itself):
        with pytest.raises(SelfSignedError):
            check_device(certificate, WALL)


def test_circles_are_refused() -> None:
    """A vouches for B, which vouches for A, which signed the device."""
    key_a, key_b = PrivateKey.generate_ec(), PrivateKey.generate_ec()
    a = under(CA, "a", is_ca=True, key=key_a)
    b = under(a, "b", is_ca=True, key=key_b)
    a_by_b = under(b, "a", is_ca=True, key=key_a)

    with pytest.raises(CyclicChainError):
        check_device(under(a_by_b, "device").certificate, WALL)


def test_long_and_large_chains_are_refused_unread() -> None:
    """Before any signature is looked at."""
    issuer = CA
    for number in range(CHAIN_LENGTH_MAX):
        issuer = under(issuer, f"ca {number}", is_ca=True)
    with pytest.raises(OversizeChainError):
        check_device(issuer.certificate, WALL)
    with pytest.raises(OversizeChainError):
        parse_chain(issuer.certificate.to_pem().encode())
    with pytest.raises(OversizeChainError):
        parse_chain(bytes(CHAIN_SIZE_MAX + 1))


def test_a_signature_by_somebody_else_is_refused() -> None:
    """Another account of the same name did not sign the device."""
    impostor = under(CA, "account", is_ca=True)
    forged = under(Identity(impostor.private_key, impostor.certificate), "device").certificate
    # The issuer's name has its key's id, so only a copied name leads this far.
    copied = _issued("device", ACCOUNT.certificate.native.subject, impostor.private_key)

    assert check_device(forged, WALL).account == impostor.id
    with pytest.raises(WrongSignatureError):
        check_device(copied.with_issuer(ACCOUNT.certificate), WALL)


def test_who_may_not_sign_is_no_issuer() -> None:
    """A device cannot certify another one."""
    device = under(ACCOUNT, "device", key=PrivateKey.generate_ec())
    made = _issued("other", device.certificate.native.subject, device.private_key)

    with pytest.raises(NotAnIssuerError):
        check_device(made.with_issuer(device.certificate), WALL)


def test_path_lengths_and_unknown_extensions_are_obeyed() -> None:
    """An authority that allows none below it, and an extension that must be understood."""
    limited = _issued(
        "limited",
        CA.certificate.native.subject,
        CA.private_key,
        (x509.BasicConstraints(ca=True, path_length=0), True),
        key=(limited_key := PrivateKey.generate_ec()),
    ).with_issuer(CA.certificate)
    below = under(Identity(limited_key, limited), "account", is_ca=True)
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")
    strange = _issued("odd", ACCOUNT.certificate.native.subject, ACCOUNT.private_key, (odd, True))

    with pytest.raises(NotAnIssuerError, match="more authorities"):
        check_device(under(below, "device").certificate, WALL)
    with pytest.raises(NotAnIssuerError, match="extension"):
        check_device(strange.with_issuer(ACCOUNT.certificate), WALL)


def test_weak_keys_and_hashes_are_refused() -> None:
    """RSA-1024 as a device, SHA-1 under its certificate."""
    weak = under(ACCOUNT, "device", key=PrivateKey.generate(1024)).certificate

    with pytest.raises(WeakChainError, match="2048"):
        check_device(weak, WALL)
    with pytest.raises(WeakChainError, match="sha1"):
        check_device(_with_sha1(), WALL)


def test_a_signature_of_an_unknown_kind_is_a_wrong_one() -> None:
    """It cannot be verified, so it proves nothing."""
    sha384, unknown = (bytes.fromhex(f"2a8648ce3d0403{last}") for last in ("03", "7f"))
    der = DEVICE.der.replace(sha384, unknown)

    with pytest.raises(WrongSignatureError):
        check_device(Certificate.parse(der).with_issuer(ACCOUNT.certificate), WALL)


def test_dates_are_checked_on_every_link() -> None:
    """And the error says by how much they are wrong."""
    with pytest.raises(NotYetValidError) as early:
        check_device(DEVICE, WALL - YEAR)
    with pytest.raises(ExpiredError) as late:
        check_device(DEVICE, WALL + 11 * YEAR)
    short = under(CA, "account", is_ca=True, validity=60)
    with pytest.raises(ExpiredError) as account_late:
        check_device(under(short, "device").certificate, WALL + 100)

    assert early.value.seconds == pytest.approx(YEAR - 300)
    assert late.value.seconds == pytest.approx(YEAR)
    assert account_late.value.seconds == pytest.approx(40)
    assert check_device(DEVICE, WALL - 299).device == DEVICE.long_id, "backdated five minutes"


def test_revocations_count_at_once() -> None:
    """The account's list on the device, the authority's on the account; others' do not."""
    revocations = Revocations()
    assert check_device(DEVICE, WALL, revocations=revocations).device == DEVICE.long_id

    other = under(CA, "other", is_ca=True)
    revocations.apply(revoke([DEVICE], other, number=1, wall_now=WALL), other.certificate)
    found = check_device(DEVICE, WALL, revocations=revocations)
    assert found.device == DEVICE.long_id, "not theirs to revoke"
    revocations.apply(revoke([DEVICE], ACCOUNT, number=1, wall_now=WALL), ACCOUNT.certificate)
    with pytest.raises(RevokedError):
        check_device(DEVICE, WALL, revocations=revocations)

    by_ca = Revocations()
    by_ca.apply(revoke([ACCOUNT.certificate], CA, number=1, wall_now=WALL), CA.certificate)
    with pytest.raises(RevokedError):
        check_device(DEVICE, WALL, revocations=by_ca)


def test_another_account_or_device_is_refused() -> None:
    """The caller asked for one in particular."""
    with pytest.raises(WrongAccountError):
        check_device(DEVICE, WALL, account=account_id(1))
    with pytest.raises(WrongDeviceError):
        check_device(DEVICE, WALL, device=device_id(1))
    expect(
        check_device(DEVICE, WALL), account=AccountId(ACCOUNT.id), device=DeviceId(DEVICE.long_id)
    )


def test_text_packs_round_trip_with_a_header_in_front() -> None:
    """A msgpack header precedes them in the DHT."""
    text = DEVICE.to_pem().encode()

    assert parse_chain(b"\xc5\x16\x20" + text) == parse_chain(text) == DEVICE
    with pytest.raises(UnreadableChainError):
        parse_chain(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


@given(
    st.binary(max_size=200) | st.integers(0, 2000).map(lambda cut: DEVICE.to_pem()[:cut].encode())
)
def test_any_bytes_give_a_chain_or_an_error(data: bytes) -> None:
    """And what parses is believed or refused with a reason."""
    try:
        check_device(parse_chain(data), WALL)
    except ChainError:
        return


def _issued(
    name: str,
    issuer: x509.Name,
    signer: PrivateKey,
    *extensions: tuple[x509.ExtensionType, bool],
    key: PrivateKey | None = None,
) -> Certificate:
    """Return a certificate that *signer* made in the name of *issuer*."""
    key = key or PrivateKey.generate_ec()
    builder = x509.CertificateBuilder(
        issuer,
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]),
        key.native.public_key(),
        7,
        datetime.fromtimestamp(WALL - 60, UTC),
        datetime.fromtimestamp(WALL + YEAR, UTC),
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    return Certificate.parse(builder.sign(signer.native, SHA256()).public_bytes(Encoding.DER))


def _with_sha1() -> Certificate:
    """Return a device whose certificate says that it is signed with SHA-1.

    The library signs none any more: the algorithm's number in one with SHA-256 is changed.
    """
    signer = PrivateKey.generate(2048)
    top = under(CA, "rsa account", is_ca=True, key=signer)
    made = _issued("device", top.certificate.native.subject, signer)
    sha256_rsa, sha1_rsa = (bytes.fromhex(f"2a864886f70d0101{last}") for last in ("0b", "05"))
    der = made.der.replace(sha256_rsa, sha1_rsa)
    assert isinstance(signer.native, rsa.RSAPrivateKey)
    assert SHA1.name == "sha1"
    return Certificate.parse(der).with_issuer(top.certificate)
