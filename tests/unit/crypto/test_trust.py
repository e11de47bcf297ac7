"""Chains that are believed, and all the reasons not to believe one."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding

from shoal.crypto import trust
from shoal.crypto.certificates import CHAIN_LENGTH_MAX, Certificate
from shoal.crypto.errors import InvalidCertificateError
from shoal.crypto.identity import Identity, self_signed
from shoal.crypto.keys import PrivateKey
from shoal.crypto.revocation import revoke
from shoal.crypto.trust import NO_PROBLEM, ChainProblem, TrustList, complete_chain
from tests.unit.crypto.samples import (
    DHTNODE,
    WALL,
    YEAR,
    authority,
    entropy,
    moment,
    under,
    weak_rsa_key,
)

CA = authority("ca")
ACCOUNT = under(CA, "account", is_ca=True)
DEVICE = under(ACCOUNT, "device", seed=3).certificate
OTHER = under(ACCOUNT, "other device", seed=4).certificate


def trusting(*certificates: Certificate) -> TrustList:
    """Return a list that trusts these, without their issuers."""
    trusted = TrustList()
    for certificate in certificates:
        trusted.add(certificate, with_issuers=False)
    return trusted


def custom(
    issuer: Identity, *extensions: tuple[x509.ExtensionType, bool], name: str = "custom"
) -> Identity:
    """Return an identity under *issuer* with these extensions, each critical or not."""
    key = PrivateKey.generate_ec()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        issuer.certificate.native.subject,
        subject,
        key.native.public_key(),
        5,
        moment(-1),
        moment(1),
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    native = builder.sign(issuer.private_key.native, SHA384())
    der = native.public_bytes(Encoding.DER)
    return Identity(key, Certificate.parse(der).with_issuer(issuer.certificate))


def test_chain_is_trusted_until_revoked() -> None:
    """Authority, account, devices; a stranger's are not; a revoked one no longer is."""
    trusted = TrustList()
    trusted.add(CA.certificate)
    assert trusted.verify(ACCOUNT.certificate, WALL) == NO_PROBLEM
    assert trusted.verify(DEVICE, WALL) == NO_PROBLEM
    stranger = under(under(authority("ca2"), "account2", is_ca=True), "device2").certificate
    assert trusted.verify(stranger, WALL) == ChainProblem.SIGNER_UNKNOWN

    trusted.add(ACCOUNT.certificate)
    assert trusted.add_revocation_list(revoke([DEVICE], ACCOUNT, number=1, wall_now=WALL))
    assert trusted.verify(DEVICE, WALL) == ChainProblem.REVOKED
    assert trusted.verify(OTHER, WALL) == NO_PROBLEM


def test_revocation_counts_above_the_trusted_certificate() -> None:
    """An account whose authority took it back is revoked, even if it is trusted itself."""
    trusted = TrustList()
    trusted.add(ACCOUNT.certificate)
    lists = revoke([ACCOUNT.certificate], CA, number=1, wall_now=WALL)

    assert trusted.verify(DEVICE, WALL) == NO_PROBLEM
    assert trusted.add_revocation_list(lists)
    assert trusted.verify(DEVICE, WALL) == ChainProblem.REVOKED
    assert trusted.verify(ACCOUNT.certificate.with_issuer(None), WALL) == ChainProblem.REVOKED


def test_leaf_alone_finds_its_trusted_signer() -> None:
    """The chain may end below the trusted certificate."""
    trusted = trusting(ACCOUNT.certificate)
    alone = DEVICE.with_issuer(None)

    assert trusted.verify(alone, WALL) == NO_PROBLEM
    assert trusted.add_revocation_list(revoke([DEVICE], ACCOUNT, number=1, wall_now=WALL))
    assert trusted.verify(alone, WALL) == ChainProblem.REVOKED


def test_leaf_that_is_trusted_itself() -> None:
    """Needs nothing but its dates."""
    trusted = trusting(DEVICE)
    assert trusted.verify(DEVICE, WALL) == NO_PROBLEM
    assert trusted.verify(DEVICE, WALL + 11 * YEAR) == ChainProblem.EXPIRED
    assert trusted.verify(OTHER, WALL) == ChainProblem.SIGNER_UNKNOWN


def test_renewed_authority_is_trusted_by_its_key() -> None:
    """A chain may end in an older certificate of the key that we trust, even an expired one."""
    old = self_signed(
        CA.private_key, "ca", entropy=entropy(9), wall_now=WALL, validity=1.0
    ).certificate
    chain = DEVICE.with_issuer(ACCOUNT.certificate.with_issuer(old))

    assert trusting(CA.certificate).verify(chain, WALL + 60) == NO_PROBLEM
    assert trusting(old).verify(chain, WALL + 60) == ChainProblem.EXPIRED


def test_removed_certificates_are_trusted_no_longer() -> None:
    """Alone or with their issuers; removing twice does no harm."""
    trusted = TrustList()
    trusted.add(ACCOUNT.certificate)
    namesake = authority("ca")
    trusted.add(namesake.certificate)
    for _ in range(2):
        trusted.remove(ACCOUNT.certificate)
        assert trusted.verify(DEVICE, WALL) == NO_PROBLEM  # by the CA
    for _ in range(2):
        trusted.remove(ACCOUNT.certificate, with_issuers=True)
        assert trusted.verify(DEVICE, WALL) == ChainProblem.SIGNER_UNKNOWN
    assert trusted.verify(namesake.certificate, WALL) == NO_PROBLEM


def test_dates_of_every_link_count() -> None:
    """The leaf's, the issuer's, the trusted one's."""
    trusted = trusting(CA.certificate)
    late = under(ACCOUNT, "late", wall_now=WALL + 5 * YEAR).certificate

    assert trusted.verify(DEVICE, WALL - 600) == ChainProblem.NOT_YET_VALID
    assert trusted.verify(late, WALL + 11 * YEAR) == ChainProblem.EXPIRED
    assert trusted.verify(DEVICE, WALL + 11 * YEAR) == ChainProblem.EXPIRED


def test_forged_links_are_noticed() -> None:
    """An issuer of the right name that did not sign."""
    impostor = under(CA, "account", is_ca=True)
    subject = ACCOUNT.certificate.native.subject
    key = PrivateKey.generate_ec()
    native = x509.CertificateBuilder(
        subject, subject, key.native.public_key(), 5, moment(-1), moment(1)
    ).sign(impostor.private_key.native, SHA384())
    forged = Certificate.parse(native.public_bytes(Encoding.DER))

    chain = forged.with_issuer(ACCOUNT.certificate)
    assert trusting(CA.certificate).verify(chain, WALL) == ChainProblem.SIGNATURE_WRONG
    assert trusting(ACCOUNT.certificate).verify(forged, WALL) == ChainProblem.SIGNER_UNKNOWN


def test_leaves_certify_nobody() -> None:
    """A device that signs another one."""
    leaf = under(ACCOUNT, "leaf")
    chain = custom(leaf).certificate
    assert trusting(CA.certificate).verify(chain, WALL) == ChainProblem.ISSUER_NOT_CA


@pytest.mark.parametrize(("path_length", "problem"), [(0, ChainProblem.PATH_TOO_LONG), (1, None)])
def test_path_lengths_are_kept(path_length: int, problem: ChainProblem | None) -> None:
    """An authority for leaves alone has no authority below."""
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    top = custom(CA, (constraints, True), name="top")
    between = custom(top, (x509.BasicConstraints(ca=True, path_length=None), True), name="between")
    chain = custom(between).certificate
    assert trusting(CA.certificate).verify(chain, WALL) == (problem or NO_PROBLEM)
    assert trusting(CA.certificate).verify(between.certificate, WALL) == NO_PROBLEM


def test_weak_keys_are_refused() -> None:
    """RSA-1024 signs values, but nobody's chain."""
    weak = under(CA, "weak", key=weak_rsa_key()).certificate
    assert trusting(CA.certificate).verify(weak, WALL) == ChainProblem.KEY_WEAK


def test_critical_extensions_must_be_known() -> None:
    """Name constraints, which we would not keep."""
    constraints = x509.NameConstraints([x509.DNSName("example.com")], None)
    leaf = custom(CA, (constraints, True)).certificate
    assert trusting(CA.certificate).verify(leaf, WALL) == ChainProblem.EXTENSION_UNKNOWN


def test_several_problems_are_all_told() -> None:
    """A stranger's expired, weak certificate."""
    weak = under(authority("x"), "weak", key=weak_rsa_key()).certificate
    assert TrustList().verify(weak, WALL + 11 * YEAR) == (
        ChainProblem.SIGNER_UNKNOWN | ChainProblem.KEY_WEAK | ChainProblem.EXPIRED
    )


def test_dhtnode_chain_is_trusted() -> None:
    """Made by 2.4.12, with an authority whose serial number reads as negative."""
    leaf = Certificate.parse((DHTNODE / "plain.crt").read_bytes())
    assert leaf.issuer is not None
    trusted = trusting(leaf.issuer)
    assert trusted.verify(leaf, leaf.wall_not_before) == NO_PROBLEM


def test_lists_of_strangers_revoke_nothing() -> None:
    """Unknown issuers, and another key under a name that we trust."""
    trusted = trusting(CA.certificate)
    impostor = authority("account")
    assert not trusted.add_revocation_list(revoke([DEVICE], ACCOUNT, number=1, wall_now=WALL))
    trusted.add(authority("account").certificate)
    trusted.add(ACCOUNT.certificate, with_issuers=False)
    assert not trusted.add_revocation_list(revoke([DEVICE], impostor, number=1, wall_now=WALL))
    assert trusted.verify(DEVICE, WALL) == NO_PROBLEM


def test_namesakes_are_told_apart_by_their_keys() -> None:
    """Two authorities of exactly the same name: lists and removals concern one of them."""
    constraints = (x509.BasicConstraints(ca=True, path_length=None), True)
    one, two = (custom(CA, constraints, name="same") for _ in range(2))
    devices = [custom(issuer).certificate.with_issuer(None) for issuer in (one, two)]
    assert one.certificate.subject == two.certificate.subject
    trusted = trusting(one.certificate, two.certificate)
    assert [trusted.verify(device, WALL) for device in devices] == [NO_PROBLEM] * 2

    assert trusted.add_revocation_list(revoke([devices[1]], two, number=1, wall_now=WALL))
    assert [trusted.verify(device, WALL) for device in devices] == [
        NO_PROBLEM,
        ChainProblem.REVOKED,
    ]
    trusted.remove(one.certificate)
    assert trusted.verify(devices[0], WALL) == ChainProblem.SIGNER_UNKNOWN
    assert trusted.verify(devices[1], WALL) == ChainProblem.REVOKED


def test_revocations_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list above the bound is not taken; those within it add up, in any order."""
    monkeypatch.setattr(trust, "REVOKED_MAX", 2)
    trusted = trusting(ACCOUNT.certificate)
    third = under(ACCOUNT, "third", seed=5).certificate
    first = revoke([DEVICE], ACCOUNT, number=2, wall_now=WALL)

    assert trusted.add_revocation_list(first)
    assert not trusted.add_revocation_list(revoke([third, OTHER], ACCOUNT, number=3, wall_now=WALL))
    assert trusted.add_revocation_list(revoke([OTHER], ACCOUNT, number=1, wall_now=WALL))
    assert trusted.verify(OTHER, WALL) == ChainProblem.REVOKED
    assert trusted.verify(third, WALL) == NO_PROBLEM


def test_chain_is_completed_from_a_store() -> None:
    """By the id in the issuer's name, as Jami's certificate store does."""
    store = {link.uid: link.with_issuer(None) for link in (ACCOUNT.certificate, CA.certificate)}

    def find(certificate: Certificate) -> Certificate | None:
        return store.get(certificate.issuer_uid)

    assert complete_chain(DEVICE.with_issuer(None), find) == DEVICE
    assert complete_chain(DEVICE, find) == DEVICE
    del store[CA.certificate.uid]
    completed = complete_chain(DEVICE.with_issuer(None), find)
    assert completed.chain()[1:] == (ACCOUNT.certificate.with_issuer(None),)


def test_completion_ends() -> None:
    """At a certificate that comes again, at 16, and at one of the wrong name."""
    cross = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in "ab"]
    key = PrivateKey.generate_ec()
    one, two = (
        Certificate.parse(
            x509.CertificateBuilder(
                cross[1 - n], cross[n], key.native.public_key(), 5, moment(-1), moment(1)
            )
            .sign(key.native, SHA384())
            .public_bytes(Encoding.DER)
        )
        for n in range(2)
    )
    assert len(complete_chain(one, {one: two, two: one}.get).chain()) == 2

    serials = iter(range(1, 100))

    def endless(certificate: Certificate) -> Certificate:
        return Certificate.parse(
            x509.CertificateBuilder(
                cross["ab".index(certificate.name)],
                cross["ab".index(certificate.issuer_name)],
                key.native.public_key(),
                next(serials),
                moment(-1),
                moment(1),
            )
            .sign(key.native, SHA384())
            .public_bytes(Encoding.DER)
        )

    assert len(complete_chain(one, endless).chain()) == CHAIN_LENGTH_MAX
    with pytest.raises(InvalidCertificateError, match="not the issuer"):
        complete_chain(DEVICE.with_issuer(None), lambda _: CA.certificate)
