"""An account on disk."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shoal.core import Persist
from shoal.crypto import keys
from shoal.identity.archive import Archive, pack_archive, unpack_archive
from shoal.identity.contact import Contact
from shoal.identity.contact_book import ContactBook
from shoal.identity.driver import AccountFolder, SharedFiles, list_accounts
from shoal.identity.effects import Forget
from shoal.identity.errors import AccountFileError, ReceiptError
from shoal.identity.record import AccountRecord
from shoal.identity.wire.contacts import pack_contacts, unpack_contacts
from tests.unit.identity.samples import CONVERSATIONS, WALL, account, account_id, second_device

if TYPE_CHECKING:
    from pathlib import Path

ALICE = account("alice")
RECORD = AccountRecord(ALICE.device.receipt, device_name="laptop")


def create(root: Path, **more: object) -> AccountFolder:
    """Put Alice's account on disk."""
    archive = pack_archive(Archive(ALICE.keys))
    return AccountFolder.create(root / "0123", RECORD, ALICE.device, archive, **more)  # type: ignore[arg-type]


def test_an_account_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Jami's file names and formats, for the owner alone."""
    contacts = {account_id(1): Contact(5000, 0)}
    folder = create(tmp_path, files={"contacts": pack_contacts(contacts)})

    stored = folder.load()
    assert stored.record == RECORD
    assert stored.device == ALICE.device
    assert stored.account == ALICE.keys.id
    assert stored.receipt.announcement.owner_id == ALICE.keys.id
    assert stored.book.contacts == contacts
    assert stored.devices == {}
    assert len(stored.treated) == 0
    assert unpack_archive(folder.archive() or b"").keys == ALICE.keys
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.path.iterdir()}
    assert files == dict.fromkeys(
        ("account.json", "archive.gz", "contacts", "ring_device.crt", "ring_device.key"), 0o600
    )
    key = (folder.path / "ring_device.key").read_bytes()
    assert key.startswith(b"-----BEGIN PRIVATE KEY-----\n")


def test_the_key_of_a_device_is_not_proven_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ours, and a third of a second of each start is saved."""
    folder = create(tmp_path)
    asked: list[dict[str, bool]] = []
    load: Any = load_pem_private_key

    def watched(*args: Any, **options: bool) -> object:
        asked.append(options)
        return load(*args, **options)

    monkeypatch.setattr(keys, "load_pem_private_key", watched)
    assert folder.load().device.identity == ALICE.device.identity
    assert asked == [{"unsafe_skip_rsa_key_validation": True}]


def test_what_a_contact_book_orders_is_what_the_next_start_finds(tmp_path: Path) -> None:
    """Records, requests, and the cards that go along with ours."""
    folder = create(tmp_path)
    book = ContactBook(ALICE.keys.id)
    effects = book.request(account_id(1), WALL, payload=b"card", conversation_id=CONVERSATIONS[0])
    effects += book.request(account_id(2), WALL, payload=b"other")
    effects += book.remove(account_id(2), WALL)
    for effect in effects:
        if isinstance(effect, Persist | Forget):
            folder.apply(effect)
    (folder.path / "requests" / "notes").write_text("not ours")

    found = ContactBook(ALICE.keys.id, folder.load().book)

    assert dict(found.contacts) == dict(book.contacts)
    assert folder.load().book.payloads == {account_id(1): b"card"}


def test_shared_files_go_where_all_accounts_look(tmp_path: Path) -> None:
    """Certificates and lists; the rest is the account's."""
    shared = SharedFiles(tmp_path / "data")
    folder = create(tmp_path / "accounts", shared=shared)

    folder.apply(Persist("certificates/abc", b"x"))
    folder.apply(Persist("knownDevices", b"\x80"))

    assert (tmp_path / "data" / "certificates" / "abc").read_bytes() == b"x"
    assert (folder.path / "knownDevices").read_bytes() == b"\x80"
    folder.apply(Forget("certificates/abc"))
    assert not (tmp_path / "data" / "certificates" / "abc").exists()


def test_a_device_without_archive_runs(tmp_path: Path) -> None:
    """And no more: it cannot link, revoke or export."""
    folder = AccountFolder.create(tmp_path / "1", RECORD, ALICE.device, None)

    assert folder.archive() is None
    assert folder.load().account == ALICE.keys.id
    folder.save_archive(b"archive")
    assert folder.archive() == b"archive"


def test_a_renewed_certificate_and_another_record(tmp_path: Path) -> None:
    """Written one after the other: a crash in between does no harm, for the receipt fits both."""
    folder = create(tmp_path)
    folder.save_record(replace(RECORD, device_name="desk"))
    assert folder.load().record.device_name == "desk"

    other = second_device("alice")
    folder.save_device(replace(ALICE.device, receipt=other.receipt), RECORD)
    with pytest.raises(ReceiptError):
        folder.load()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("account.json", None),
        ("account.json", b"{}"),
        ("ring_device.key", None),
        ("ring_device.crt", None),
        ("ring_device.key", b"no key"),
        ("contacts", b"damaged"),
        ("knownDevices", b"\x90"),
    ],
)
def test_damage_is_an_error_that_names_the_file(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    """An account does not start with half of its contacts, say."""
    folder = create(tmp_path)
    if content is None:
        (folder.path / name).unlink()
    else:
        (folder.path / name).write_bytes(content)

    with pytest.raises(AccountFileError, match=str(tmp_path)):
        folder.load()


def test_accounts_are_listed_and_deleted(tmp_path: Path) -> None:
    """What was not finished is no account."""
    folder = create(tmp_path)
    (tmp_path / ".tmp-half").mkdir()
    (tmp_path / ".tmp-half" / "account.json").write_bytes(RECORD.pack())
    (tmp_path / "other").mkdir()

    assert [each.path for each in list_accounts(tmp_path)] == [folder.path]
    folder.delete()
    assert list_accounts(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


WRITER = """
import sys
from pathlib import Path
from shoal.core import AccountId, Persist
from shoal.identity.contact import Contact
from shoal.identity.contact_book import ContactBook
from shoal.identity.driver import AccountFolder

folder = AccountFolder(Path(sys.argv[1]))
book = ContactBook(AccountId(bytes(20)), folder.load().book)
number = len(book.contacts)
while True:
    number += 1
    for effect in book.add(AccountId(number.to_bytes(20)), 1.8e9):
        if isinstance(effect, Persist):
            folder.apply(effect)
    print(number, flush=True)
"""


def test_kill_9_in_the_middle_of_writing_loses_nothing_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    """A process that adds contacts as fast as it can is killed again and again."""
    folder = create(tmp_path)
    acknowledged = 0
    for pause in (0.0, 0.003, 0.011, 0.002):
        writer = subprocess.Popen(  # noqa: S603 - our own text
            [sys.executable, "-c", WRITER, str(folder.path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        with writer, writer.stdout as lines:
            acknowledged = int(lines.readline())
            _spin(pause)
            writer.send_signal(signal.SIGKILL)
            for line in lines:
                acknowledged = int(line) if line.endswith("\n") else acknowledged

        contacts = unpack_contacts((folder.path / "contacts").read_bytes())
        assert len(contacts) in (acknowledged, acknowledged + 1)
        assert folder.load().account == ALICE.keys.id
        assert not list(folder.path.glob(".tmp-*")), "swept at the start"


def _spin(seconds: float) -> None:
    """Let the other process get somewhere; where does not matter."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
