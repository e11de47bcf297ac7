"""Keys, certificates and blobs exchanged with OpenDHT, without a network in between.

The wheel's Python names let nobody load a key, so these tests cover what it makes and we read, and
chains and blobs that we make and it reads. Values that we sign and seal for it travel in the tests
of whole nodes.
"""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from shoal.core.driver import SystemEntropy
from shoal.crypto import (
    Certificate,
    ChainProblem,
    DecryptError,
    Identity,
    Profile,
    TrustList,
    decrypt_with_password,
    encrypt_with_password,
    generate_ec_identity,
    generate_identity,
)
from shoal.crypto.driver import load_identity, new_node_identity, save_identity
from tests.peers.presence import Need, require

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD: Final = "p\N{LATIN SMALL LETTER A WITH DIAERESIS}ss 123414!@#%@#$?"  # noqa: S105 - a test's
CHANCE: Final = SystemEntropy()
_KEY_ID: Final = re.compile(r"Public key ID ([0-9a-f]{40})")


@pytest.fixture(scope="module")
def opendht() -> Any:
    """The wheel's module."""
    require(Need.OPENDHT)
    return importlib.import_module("opendht")


@pytest.fixture(scope="module")
def theirs(opendht: Any) -> Any:
    """A P-384 authority and an RSA-2048 leaf, made by the wheel."""
    ca_key = opendht.PrivateKey.generateEC()
    ca = opendht.Certificate.generate(ca_key, "their ca", opendht.Identity(), True)
    return opendht.Identity.generate("their leaf", opendht.Identity(ca_key, ca), 2048)


def read(certificate: Any) -> Certificate:
    """Return a certificate of the wheel as ours, with its chain."""
    return Certificate.parse(certificate.toString().encode())


def given(opendht: Any, certificate: Certificate) -> Any:
    """Return a certificate of ours as the wheel's, with its chain."""
    return opendht.Certificate(certificate.to_pem().encode())


def test_their_certificates_are_read(theirs: Any) -> None:
    """Names, ids, chain and text are the same on both sides."""
    leaf = read(theirs.certificate)

    assert leaf.to_pem() == theirs.certificate.toString()
    assert leaf.name == theirs.certificate.getName() == "their leaf"
    assert [str(link.id) for link in leaf.chain()] == [
        theirs.certificate.getId().toString().decode(),
        theirs.certificate.issuer.getId().toString().decode(),
    ]
    assert str(leaf.long_id) == theirs.certificate.getLongId().toString().decode()
    assert leaf.uid == str(leaf.id)
    assert leaf.issuer is not None
    trusted = TrustList()
    trusted.add(leaf.issuer)
    assert not trusted.verify(leaf, time.time())


@pytest.mark.parametrize("length", [0, 5, 4096])
def test_their_signatures_verify(theirs: Any, length: int) -> None:
    """And those of other data do not."""
    key = read(theirs.certificate).public_key
    signature = theirs.key.sign(bytes(length))

    assert key.verify(bytes(length), signature)
    assert not key.verify(bytes(length + 1), signature)
    assert theirs.publickey.checkSignature(bytes(length), signature)


@pytest.mark.parametrize("length", [1, 245, 246, 65_536])
def test_they_open_what_we_seal(theirs: Any, length: int) -> None:
    """One block and hybrid, on both sides of the limit."""
    sealed = read(theirs.certificate).public_key.encrypt(b"x" * length)

    assert len(sealed) == len(theirs.publickey.encrypt(b"x" * length))
    assert theirs.key.decrypt(sealed) == b"x" * length


def test_blobs_under_passwords_go_both_ways(opendht: Any) -> None:
    """And a wrong password opens neither."""
    data = bytes(1000) + b"secret"
    blob = encrypt_with_password(data, PASSWORD)
    assert opendht.aesDecrypt(blob, PASSWORD) == data

    blob = opendht.aesEncrypt(data, PASSWORD)
    assert decrypt_with_password(blob, PASSWORD) == data
    with pytest.raises(DecryptError):
        decrypt_with_password(blob, PASSWORD[:-1])


def test_our_chains_are_read_and_trusted(opendht: Any) -> None:
    """Authority, account, device: their list accepts what ours does, and no stranger."""
    now = time.time()
    ca = generate_ec_identity("our ca", entropy=CHANCE, wall_now=now)
    account = generate_identity(
        "our account", ca, 2048, entropy=CHANCE, wall_now=now, profile=Profile.AUTHORITY
    )
    device = generate_identity("our device", account, 2048, entropy=CHANCE, wall_now=now)
    stranger = generate_ec_identity("stranger", entropy=CHANCE, wall_now=now)
    read_back = given(opendht, device.certificate)

    assert read_back.toString() == device.certificate.to_pem()
    assert read_back.getName() == "our device"
    assert read_back.getId().toString().decode() == str(device.id)
    assert read_back.getLongId().toString().decode() == str(device.long_id)
    assert read_back.issuer.issuer.getName() == "our ca"
    trusted, ours = opendht.TrustList(), TrustList()
    trusted.add(given(opendht, ca.certificate))
    ours.add(ca.certificate)
    for certificate in (account.certificate, device.certificate):
        assert trusted.verify(given(opendht, certificate))
        assert not ours.verify(certificate, now)
    assert not trusted.verify(given(opendht, stranger.certificate))
    assert ours.verify(stranger.certificate, now) == ChainProblem.SIGNER_UNKNOWN


def test_their_authority_certifies_beside_ours(opendht: Any, theirs: Any) -> None:
    """A list that trusts both accepts the leaves of both."""
    ours = new_node_identity("our node", 2048)
    trusted = TrustList()
    their_list = opendht.TrustList()
    their_leaf = read(theirs.certificate)
    for authority in (their_leaf.issuer, ours.certificate.issuer):
        assert authority is not None
        trusted.add(authority)
        their_list.add(given(opendht, authority))

    for leaf in (their_leaf, ours.certificate):
        assert not trusted.verify(leaf, time.time())
        assert their_list.verify(given(opendht, leaf))


def key_id_of_dhtnode(*options: str) -> str:
    """Run dhtnode on a free port until it says its key id, and return that."""
    program = shutil.which("dhtnode")
    assert program is not None
    done = subprocess.run(  # noqa: S603 - the peer under test
        [program, "-p", "0", *options],
        input="q\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = _KEY_ID.search(done.stdout)
    assert found is not None, done.stdout + done.stderr
    return found[1]


def test_dhtnode_uses_our_identity(tmp_path: Path) -> None:
    """2.4.12 reads the two files that we write, and goes by the same key id."""
    require(Need.DHTNODE)
    identity = new_node_identity(bits=2048)
    save_identity(identity, tmp_path / "node")

    key, chain = str(tmp_path / "node.pem"), str(tmp_path / "node.crt")
    assert key_id_of_dhtnode("--privkey", key, "--certificate", chain) == str(identity.id)


@pytest.mark.parametrize("password", [None, "secret"])
def test_we_use_dhtnodes_identity(tmp_path: Path, password: str | None) -> None:
    """Made and saved by 2.4.12, with a password too (under which it cannot read it itself)."""
    require(Need.DHTNODE)
    options = ["--privkey-password", password] if password else []
    made = key_id_of_dhtnode("--identity", "--save-identity", str(tmp_path / "node"), *options)

    identity = load_identity(tmp_path / "node", password)
    assert str(identity.id) == made
    assert identity.private_key.public_key.bits == 4096
    assert_works(identity)
    trusted = TrustList()
    trusted.add(load_identity(tmp_path / "node_ca", password).certificate)
    assert not trusted.verify(identity.certificate, time.time())


def assert_works(identity: Identity) -> None:
    """Check that the two halves of *identity* fit."""
    key = identity.certificate.public_key
    assert key.verify(b"data", identity.private_key.sign(b"data"))
    assert identity.private_key.decrypt(key.encrypt(bytes(1000))) == bytes(1000)
