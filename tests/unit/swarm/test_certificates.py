"""Certificates in trees."""

from __future__ import annotations

import pytest

from shoal.core import DecodeError, DeviceId
from shoal.swarm import certificates, roles
from shoal.swarm.certificates import CertificateReader
from shoal.swarm.store import MemoryStore, ObjectKind
from shoal.swarm.trees import write_tree
from tests.unit.swarm.people import ALICE, BOB, who

ME, OTHER = who(ALICE), who(BOB)
DEVICE = roles.device_path(ME.device_id)
MEMBER = roles.member_path(ME.account)


def tree(**changed: bytes) -> tuple[MemoryStore, dict[str, bytes]]:
    """A tree with alice in it, and what a test changes."""
    store = MemoryStore()
    contents = {DEVICE: ME.device_file, MEMBER: ME.account_file} | changed
    return store, {path: store.add(ObjectKind.BLOB, data) for path, data in contents.items()}


def test_an_author_is_proved() -> None:
    """Device, account and the bond between them; read once."""
    store, files = tree()
    reader = CertificateReader(store)

    author = reader.author(files, ME.device_id)
    assert author.account == ME.account
    store.objects.clear()
    assert reader.author(files, ME.device_id) == author


@pytest.mark.parametrize(
    "changed",
    [
        {DEVICE: b"no certificate"},
        {DEVICE: OTHER.device_file},
        {DEVICE: bytes(certificates.CERTIFICATE_FILE_MAX + 1)},
        {MEMBER: OTHER.account_file},
        {MEMBER: ME.device_file},
    ],
)
def test_what_proves_nothing(changed: dict[str, bytes]) -> None:
    """Other people's files, and what is no certificate."""
    store, files = tree(**changed)
    with pytest.raises(DecodeError):
        CertificateReader(store).author(files, ME.device_id)


def test_who_is_not_there() -> None:
    """A device without a file, and one whose account is no member."""
    store, files = tree()
    with pytest.raises(DecodeError, match="there is no"):
        CertificateReader(store).author(files, DeviceId(bytes(32)))
    del files[MEMBER]
    with pytest.raises(DecodeError, match="not a member"):
        CertificateReader(store).author(files, ME.device_id)
    with pytest.raises(DecodeError, match="no certificate file"):
        CertificateReader(store).read({DEVICE: write_tree(store, {})}, DEVICE)


def test_conversations_share_certificates() -> None:
    """Who is in several of them is in memory once; a file that proves nothing never is."""
    found = [CertificateReader(store).read(files, DEVICE) for store, files in (tree(), tree())]
    assert found[0] is found[1]
    for _ in range(2):
        store, files = tree(**{DEVICE: b"no certificate"})
        with pytest.raises(DecodeError):
            CertificateReader(store).read(files, DEVICE)


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old ones go when new ones come, and are read again."""
    monkeypatch.setattr(certificates, "CACHED_MAX", 1)
    store, files = tree()
    reader = CertificateReader(store)
    for _ in range(2):
        assert reader.author(files, ME.device_id).account == ME.account
    files |= {"x": store.add(ObjectKind.BLOB, OTHER.account_file)}
    assert reader.read(files, "x").id == OTHER.account
