"""What Jami of both generations writes, read by our codecs one by one; and what we write, by Jami.

The node's own tests let whole programs meet; when one of those fails, these say at which bytes.
"""

from __future__ import annotations

import base64
import re
import time
from typing import TYPE_CHECKING, Final

import pytest

from shoal.core import AccountId, DeviceId, InfoHash
from shoal.core.driver import SystemEntropy
from shoal.crypto import Identity, RevocationList
from shoal.dht import Value
from shoal.dht.contents import CertificateValue
from shoal.identity import (
    Archive,
    Contact,
    Receipt,
    Revocations,
    change_password,
    check_device,
    check_receipt,
    create_account,
    draw_pin,
    find_place,
    open_archive,
    pack_archive,
    parse_chain,
    pin_seeds,
    read_announcement,
    seal_archive,
    unpack_archive,
    unpack_contacts,
    unpack_requests,
)
from shoal.identity.errors import ArchivePasswordError, RevokedError
from shoal.identity.wire.devices import unpack_devices
from tests.peers.jami import JamiAccount
from tests.peers.jamid import JamidProcess
from tests.peers.town import NEW, OLD
from tests.peers.waiting import until, until_next_second

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.crypto import Certificate
    from shoal.identity import CheckedReceipt, NewAccount
    from tests.peers.peer import Peer
    from tests.peers.shoal_node import ShoalHost
    from tests.peers.town import Town

PASSWORD: Final = "corrêct horse"  # noqa: S105 - of a test, and not ASCII
PATIENCE: Final = 90.0  # seconds, on a busy machine
FRIEND: Final = AccountId(bytes(range(20)))


@pytest.fixture(scope="module")
def new() -> NewAccount:
    """An account of ours, as Jami has them: three keys of 4096 bits."""
    return create_account(SystemEntropy(), time.time())


@pytest.fixture
def node(town: Town) -> Peer:
    """A node of ours that looks at the DHT for us."""
    return town.pool.peers[1]


@pytest.fixture(scope="module")
def jamid(town: Town) -> JamidProcess:
    """A 13.7."""
    daemon = town.jami(OLD)
    assert isinstance(daemon, JamidProcess)
    return daemon


def folder_of(account: JamiAccount) -> Path:
    """Return where the daemon keeps the account."""
    return account.daemon.folder(account.name)


def device_of(account: JamiAccount) -> Identity:
    """Return the daemon's device."""
    folder = folder_of(account)
    return Identity.parse(
        (folder / "ring_device.key").read_bytes(), (folder / "ring_device.crt").read_bytes()
    )


class TestFiles:
    """The account folder that a daemon wrote."""

    def test_the_devices_chain(self, theirs: JamiAccount) -> None:
        """Believed, and of this account and device; whatever its serial number."""
        certificate = device_of(theirs).certificate

        chain = check_device(
            certificate,
            time.time(),
            account=AccountId.from_hex(theirs.uri),
            device=DeviceId.from_hex(theirs.device),
        )

        assert [link.name for link in certificate.chain()] == ["Jami device", "Jami", "Jami CA"]
        assert str(chain.authority) == certificate.chain()[2].uid
        pack = (folder_of(theirs) / "ring_device.crt").read_bytes()
        assert certificate.to_pem().encode() == pack, "as it is published, byte for byte"

    def test_the_receipt(self, theirs: JamiAccount) -> None:
        """Its signatures hold, and the announcement in it is the device's."""
        certificate = device_of(theirs).certificate

        checked = receipt_of(theirs, certificate)

        assert str(checked.account) == theirs.uri
        announcement = read_announcement(checked.announcement, checked.account)
        assert announcement.device == certificate.long_id
        priority = 3 if theirs.daemon.kind == NEW else 0  # bytes: later versions give it one
        assert len(checked.announcement.packed()) == 1696 + priority
        keys = unpack_archive((folder_of(theirs) / "archive.gz").read_bytes()).keys
        assert checked.chain_address == keys.chain_address

    def test_contacts_and_devices(self, theirs: JamiAccount) -> None:
        """The two files that every account has."""
        theirs.daemon.add_contact(theirs.name, str(FRIEND))
        folder = folder_of(theirs)

        def contact() -> Contact | None:
            path = folder / "contacts"
            return unpack_contacts(path.read_bytes()).get(FRIEND) if path.exists() else None

        found = until(contact, "the contact in the file", PATIENCE)
        assert found.is_active
        assert not found.confirmed
        assert abs(found.added_ms / 1000 - time.time()) < PATIENCE
        devices = unpack_devices((folder / "knownDevices").read_bytes())
        assert DeviceId.from_hex(theirs.device) in devices

    def test_requests_that_wait(self, town: Town, theirs: JamiAccount) -> None:
        """The sender's key, which is that of its device, and the card that it sent."""
        asker = JamiAccount(theirs.daemon, theirs.daemon.add_account(town.bootstrap))
        asker.daemon.wait_announced(asker.name)
        card = b"BEGIN:VCARD\nVERSION:2.1\nFN:asker\nEND:VCARD"
        asker.daemon.ask_for_trust(asker.name, theirs.uri, card)
        theirs.daemon.wait_request(theirs.name, asker.uri)

        requests = unpack_requests((folder_of(theirs) / "incomingTrustRequests").read_bytes())

        request = requests[AccountId.from_hex(asker.uri)]
        assert InfoHash.of(request.spki) == device_of(asker).id
        assert request.payload == card
        assert re.fullmatch("[0-9a-f]{40}", request.conversation_id)

    def test_revocations(self, town: Town, theirs: JamiAccount, tmp_path: Path) -> None:
        """A list that a daemon made, from its archive and its folder of lists, counts at once."""
        daemon = theirs.daemon
        archive = unpack_archive((folder_of(theirs) / "archive.gz").read_bytes())
        exported = tmp_path / "archive.gz"
        exported.write_bytes(pack_archive(archive))
        other = town.jami(daemon.kind)
        second = JamiAccount(other, other.import_archive(town.bootstrap, exported))
        other.wait_announced(second.name)
        lost = device_of(second).certificate
        until(
            lambda: second.device in daemon.known_devices(theirs.name),
            "the second device",
            PATIENCE,
        )
        other.set_active(second.name, is_active=False)
        check_device(lost, time.time())

        assert daemon.revoke(theirs.name, second.device) == 0

        revocations = Revocations()
        account = device_of(theirs).certificate.chain()[1]
        keys = unpack_archive((folder_of(theirs) / "archive.gz").read_bytes()).keys
        assert keys.revocations is not None
        assert revocations.apply(keys.revocations, account)
        with pytest.raises(RevokedError):
            check_device(lost, time.time(), revocations=revocations)
        check_device(device_of(theirs).certificate, time.time(), revocations=revocations)
        lists = [
            RevocationList.parse(path.read_bytes())
            for path in (daemon.home / "data_home" / "jami").rglob("crls/**/*")
            if path.is_file()
        ]
        assert keys.revocations in lists


class TestDht:
    """What a daemon publishes."""

    def test_the_chain_is_where_its_generation_puts_it(
        self, node: Peer, theirs: JamiAccount
    ) -> None:
        """13.7 under the short id, that of 2026 under the hash of the long one."""
        certificate = device_of(theirs).certificate
        is_old = theirs.daemon.kind == OLD
        key = certificate.id if is_old else certificate.long_id.infohash

        def chains() -> list[Certificate]:
            return [
                parse_chain(CertificateValue.unpack(seen.data).chain)
                for seen in node.get(key.hex())
                if seen.data and b"-----BEGIN" in seen.data
            ]

        assert certificate in until(chains, "the chain on the DHT", PATIENCE)


class TestArchives:
    """Archives, without a node around them."""

    @pytest.mark.parametrize("password", ["", PASSWORD])
    def test_theirs(self, town: Town, theirs: JamiAccount, password: str) -> None:
        """Opened with the password alone; the keys are those of the running device's account."""
        daemon = theirs.daemon
        name = daemon.add_account(town.bootstrap, Account_archivePassword=password)
        daemon.wait_announced(name)
        account = JamiAccount(daemon, name)
        data = (daemon.folder(name) / "archive.gz").read_bytes()

        keys = unpack_archive(data, password).keys

        assert str(keys.id) == account.uri
        assert keys.account.certificate == device_of(account).certificate.issuer
        assert keys.authority_key is not None
        authority = keys.account.certificate.chain()[1]
        assert keys.authority_key.public_key == authority.public_key
        if password:
            for wrong in ("", "wrong"):
                with pytest.raises(ArchivePasswordError):
                    unpack_archive(data, wrong)

    @pytest.mark.parametrize("password", ["", PASSWORD])
    def test_ours(
        self, town: Town, theirs: JamiAccount, new: NewAccount, tmp_path: Path, password: str
    ) -> None:
        """Imported with contacts and settings, after its password was changed; chain for chain."""
        contacts = {FRIEND: Contact(1_700_000_000_123, 0)}
        settings = {"Account.displayName": "Somebody else", "Of.the.future": "x"}
        data = change_password(pack_archive(Archive(new.keys, contacts, settings)), "", password)
        path = tmp_path / "archive.gz"
        path.write_bytes(data)
        daemon = theirs.daemon

        name = daemon.import_archive(town.bootstrap, path, password)
        daemon.wait_announced(name)

        account = JamiAccount(daemon, name)
        assert account.uri == str(new.keys.id)
        device = device_of(account).certificate
        assert device.issuer == new.keys.account.certificate
        chain = check_device(device, time.time(), account=new.keys.id)
        assert str(chain.device) == account.device
        assert receipt_of(account, device).chain_address == new.keys.chain_address
        until(lambda: str(FRIEND) in daemon.contacts(name), "the contact", PATIENCE)


class TestSync:
    """What devices of one account tell each other."""

    def test_contacts_travel(self, town: Town, ours: ShoalHost, theirs: JamiAccount) -> None:
        """Added, blocked and removed on either side, each is known on the other."""
        daemon = theirs.daemon
        name = daemon.add_account(town.bootstrap)
        daemon.wait_announced(name)
        archive = daemon.folder(name) / "archive.gz"
        account = ours.run(ours.node.accounts.import_archive(archive))
        ours.run(account.wait_announced(PATIENCE))
        first, second = "11" * 20, "22" * 20

        daemon.add_contact(name, first)
        until(lambda: first in account.contacts, "Jami's contact at ours", PATIENCE)
        ours.run(account.contacts.add(second))
        until(lambda: second in daemon.contacts(name), "our contact at Jami", PATIENCE)
        ours.run(account.contacts.block(first))
        until(
            lambda: daemon.contacts(name)[first].get("banned") == "true",
            "our block at Jami",
            PATIENCE,
        )
        daemon.remove_contact(name, second)
        until(lambda: second not in account.contacts, "Jami's removal at ours", PATIENCE)
        until_next_second()  # 13.7 counts in them
        daemon.add_contact(name, first)
        until(lambda: first in account.contacts, "unblocked at ours", PATIENCE)
        ours.run(ours.node.accounts.remove(account.id))


class TestPin:
    """The blob that lies in the DHT under a PIN, which only 13.7 knows."""

    @pytest.mark.parametrize("password", ["", PASSWORD])
    def test_theirs(self, town: Town, jamid: JamidProcess, node: Peer, password: str) -> None:
        """Found where the PIN says, under one of the two seeds; opened by the PIN's key alone."""
        name = jamid.add_account(town.bootstrap, Account_archivePassword=password)
        jamid.wait_announced(name)
        wall_seeds = pin_seeds(time.time())
        pin = jamid.offer_pin(name, password)

        places = [
            find_place(pin, password, seed)
            for seed in sorted({*wall_seeds, *pin_seeds(time.time())}, reverse=True)
        ]
        found = [
            archive
            for place in places
            for seen in node.get(place.infohash.hex())
            if (archive := open_archive(Value(seen.data or b""), place)) is not None
        ]

        assert {str(archive.keys.id) for archive in found} == {jamid.uri(name)}

    def test_ours(self, town: Town, jamid: JamidProcess, node: Peer, new: NewAccount) -> None:
        """13.7 finds it, with the PIN in small letters, and has the account."""
        pin = draw_pin(SystemEntropy())
        place = find_place(pin, PASSWORD, pin_seeds(time.time())[0])
        value = seal_archive(Archive(new.keys), place)
        assert node.put(place.infohash.hex(), value.data).ok

        name = jamid.import_pin(town.bootstrap, pin.lower(), PASSWORD)
        jamid.wait_announced(name)

        account = JamiAccount(jamid, name)
        assert account.uri == str(new.keys.id)
        assert device_of(account).certificate.issuer == new.keys.account.certificate


def receipt_of(account: JamiAccount, certificate: Certificate) -> CheckedReceipt:
    """Return the checked receipt in the account's settings, which are YAML."""
    text = (folder_of(account) / "config.yml").read_text()
    receipt = re.search(r'^ringAccountReceipt: "((?:[^"\\]|\\.)*)"$', text, re.MULTILINE)
    signature = re.search(r'^ringAccountReceiptSignature: !!binary "([^"]*)"$', text, re.MULTILINE)
    assert receipt is not None
    assert signature is not None
    words = receipt[1].replace('\\"', '"').replace("\\\\", "\\")
    return check_receipt(Receipt(words, base64.b64decode(signature[1])), certificate)
