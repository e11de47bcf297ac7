"""Files that all accounts share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shoal.core import Persist
from shoal.crypto import revoke
from shoal.identity.driver import SharedFiles
from shoal.identity.effects import Forget
from shoal.identity.revocations import list_file
from shoal.identity.store import CertificateStore
from tests.unit.identity.samples import WALL, account

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ALICE = account("alice")
CERTIFICATE = ALICE.device.identity.certificate


def test_certificates_come_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also under their old, short names; what is none is deleted."""
    shared = SharedFiles(tmp_path)
    assert list(shared.certificates()) == []
    for effect in CertificateStore().pin(CERTIFICATE):
        shared.apply(effect)
    bob = account("bob").device.identity.certificate
    shared.apply(Persist(f"certificates/{bob.id}", bob.to_pem().encode()))
    shared.apply(Persist("certificates/damaged", b"x"))
    (tmp_path / "certificates" / ".tmp-1").write_bytes(b"half")

    with caplog.at_level(logging.WARNING):
        found = list(shared.certificates())

    assert sorted(each.id for each in found) == sorted((CERTIFICATE.id, bob.id))
    assert "deleted" in caplog.text
    assert len(list((tmp_path / "certificates").iterdir())) == 2
    shared.apply(Forget(f"certificates/{bob.id}"))
    assert len(list(shared.certificates())) == 1


def test_lists_come_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the account whose they are said to be; others are passed over."""
    shared = SharedFiles(tmp_path)
    lists = revoke([CERTIFICATE], ALICE.keys.account, number=5, wall_now=WALL)
    shared.apply(Persist(list_file(ALICE.keys.id, lists), lists.der))
    shared.apply(Persist("crls/notes/05", b"x"))
    shared.apply(Persist(f"crls/{ALICE.keys.id}/06", b"x"))

    with caplog.at_level(logging.WARNING):
        assert list(shared.revocations()) == [(ALICE.keys.id, lists)]
    assert caplog.text.count("passed over") == 2
