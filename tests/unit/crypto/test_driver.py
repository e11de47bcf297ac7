"""Identities on disk."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shoal.crypto import driver
from shoal.crypto.driver import (
    identity_paths,
    load_identity,
    new_identity,
    new_node_identity,
    save_identity,
)
from shoal.crypto.errors import IdentityFileError, PasswordError
from tests.unit.crypto.samples import DHTNODE, authority, rsa_key, under

if TYPE_CHECKING:
    from shoal.crypto.identity import Identity

IDENTITY = under(authority(), "node", key=rsa_key())


def same(one: Identity, other: Identity) -> bool:
    """Say whether both have the same key and chain."""
    return (
        one.certificate == other.certificate
        and one.private_key.public_key == other.private_key.public_key
    )


@pytest.mark.parametrize("password", [None, "pass"])
def test_saved_identity_is_loaded(tmp_path: Path, password: str | None) -> None:
    """By the common name of the files or by either of them; the key is for its owner alone."""
    save_identity(IDENTITY, tmp_path / "node.v1", password)
    key, chain = tmp_path / "node.v1.pem", tmp_path / "node.v1.crt"

    for path in (tmp_path / "node.v1", key, chain, str(key)):
        assert same(load_identity(path, password), IDENTITY)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(chain.stat().st_mode) == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["node.v1.crt", "node.v1.pem"]
    assert ("ENCRYPTED" in key.read_text()) == (password is not None)
    if password:
        with pytest.raises(PasswordError):
            load_identity(key)


def test_dhtnode_files_are_loaded() -> None:
    """Under their common name, and as two files of any name."""
    identity = load_identity(DHTNODE / "plain")
    ca = load_identity(DHTNODE / "plain_ca.pem", certificate=DHTNODE / "plain_ca.crt")
    assert identity.certificate.issuer == ca.certificate


def test_one_file_may_hold_both(tmp_path: Path) -> None:
    """Whatever its name."""
    for name in ("both.pem", "both"):
        path = tmp_path / name
        path.write_text(IDENTITY.certificate.to_pem() + IDENTITY.private_key.export())
        assert same(load_identity(path), IDENTITY)


def test_paths_share_a_name() -> None:
    """Either of the two files stands for both."""
    expected = (Path("a/n.pem"), Path("a/n.crt"))
    assert identity_paths("a/n") == identity_paths("a/n.crt") == identity_paths("a/n.pem")
    assert identity_paths("a/n") == expected


def test_missing_files_are_told(tmp_path: Path) -> None:
    """With the path and the reason."""
    with pytest.raises(IdentityFileError, match="nothing: No such file"):
        load_identity(tmp_path / "nothing")
    with pytest.raises(IdentityFileError, match="cannot write"):
        save_identity(IDENTITY, tmp_path / "no folder" / "node")


def test_huge_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody named the wrong file."""
    monkeypatch.setattr(driver, "FILE_SIZE_MAX", 10)
    (tmp_path / "huge").write_bytes(bytes(11))
    with pytest.raises(IdentityFileError, match="larger than 10"):
        load_identity(tmp_path / "huge")


def test_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no temporary file; also if the temporary one is gone already."""
    save_identity(IDENTITY, tmp_path / "node")
    before = (tmp_path / "node.pem").read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(IdentityFileError, match="No space left"):
        save_identity(under(authority(), "other"), tmp_path / "node")

    assert (tmp_path / "node.pem").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["node.crt", "node.pem"]


def test_new_identities_are_valid_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the system's clock and randomness."""
    ca = new_identity("ca", bits=1024)
    leaf = new_identity("leaf", ca, 1024)
    node = new_node_identity(bits=1024)

    assert leaf.certificate.issuer == ca.certificate
    assert node.certificate.name == "DHT Node"
    assert len(node.certificate.chain()) == 2
    for identity in (ca, leaf, node):
        certificate = identity.certificate
        assert certificate.wall_not_before < time.time() < certificate.wall_not_after
    assert ca.certificate.serial != leaf.certificate.serial
