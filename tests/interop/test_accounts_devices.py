"""One account on devices of Jami and of Shoal: archives, linking by both methods, revoking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from shoal.identity.errors import ArchivePasswordError, RevokedError
from shoal.net.errors import ConnectError, ConnectStep
from shoal.node.events import ConnectionOpened, ContactChanged, DeviceChanged
from tests.peers.jami import JamiAccount
from tests.peers.jamid import JamidProcess
from tests.peers.libjami import LibjamiProcess
from tests.peers.town import GENERATIONS, NEW, OLD
from tests.peers.waiting import NotReachedError, until

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.node import Account
    from tests.peers.shoal_node import ShoalHost
    from tests.peers.town import Town

pytestmark = pytest.mark.timeout(300)  # RSA keys and Jami take their time on a busy machine

PASSWORD: Final = "corrêct horse"  # noqa: S105 - of a test, and not ASCII
WRONG: Final = "wrong"
KEY_BITS: Final = 2048  # of our devices: drawn in a moment, and enough for Jami
CALL_TIME: Final = 5.0  # seconds; a call that nobody answers takes thirty
PATIENCE: Final = 90.0  # seconds, on a busy machine


def devices(account: Account) -> set[str]:
    """Return the long ids of the devices that we count to the account."""
    return {device.id.hex() for device in account.devices.list()}


def wait_both(ours: Account, theirs: JamiAccount) -> None:
    """Wait until both sides count the same two devices to the account."""
    both = {ours.device_id.hex(), theirs.device}
    until(lambda: devices(ours) == both, f"{both} at ours", PATIENCE)
    until(
        lambda: set(theirs.daemon.known_devices(theirs.name)) == both, f"{both} at Jami", PATIENCE
    )


@pytest.fixture(scope="module")
def old(town: Town) -> JamidProcess:
    """A 13.7."""
    daemon = town.account(OLD).daemon
    assert isinstance(daemon, JamidProcess)
    return daemon


@pytest.fixture(scope="module")
def new(town: Town) -> LibjamiProcess:
    """The library of 2026."""
    daemon = town.account(NEW).daemon
    assert isinstance(daemon, LibjamiProcess)
    return daemon


class TestArchives:
    """Files that hold an account."""

    @pytest.mark.parametrize("password", ["", PASSWORD])
    def test_jamis_opened_by_us(
        self, town: Town, ours: ShoalHost, theirs: JamiAccount, password: str
    ) -> None:
        """A Jami user moves into Shoal, with contacts; a wrong password is told."""
        daemon = theirs.daemon
        jami = JamiAccount(
            daemon, daemon.add_account(town.bootstrap, Account_archivePassword=password)
        )
        daemon.wait_announced(jami.name)
        contact = theirs.uri
        daemon.add_contact(jami.name, contact)
        # What the export does; the addon of 2026 can ask for it only where there is no password.
        exported = daemon.home / f"exported-{jami.name}.gz"
        if daemon.kind == OLD or not password:
            assert daemon.export_archive(jami.name, exported, password)
        else:
            exported.write_bytes((daemon.folder(jami.name) / "archive.gz").read_bytes())

        accounts = ours.node.accounts
        if password:
            with pytest.raises(ArchivePasswordError):
                ours.run(accounts.import_archive(exported, password=WRONG, key_bits=KEY_BITS))
        account = ours.run(accounts.import_archive(exported, password=password, key_bits=KEY_BITS))
        assert account.id.hex() == jami.uri
        assert account.has_password is bool(password)
        ours.run(account.wait_announced(PATIENCE))
        wait_both(account, jami)
        until(lambda: contact in account.contacts, "the contact", PATIENCE)
        ours.run(ours.node.accounts.remove(account.id))

    @pytest.mark.parametrize("password", ["", PASSWORD])
    def test_ours_opened_by_jami(
        self, town: Town, ours: ShoalHost, theirs: JamiAccount, tmp_path: Path, password: str
    ) -> None:
        """And back: Jami has the account and its contacts; a wrong password is refused."""
        account = ours.create("Mover", password=password)
        ours.run(account.contacts.add(theirs.uri))
        exported = tmp_path / "archive.gz"
        ours.run(account.export(exported, password=password))

        daemon = theirs.daemon
        if password:
            wrong = daemon.import_archive(town.bootstrap, exported, WRONG)
            daemon.wait_refused(wrong)
        name = daemon.import_archive(town.bootstrap, exported, password)
        daemon.wait_announced(name)
        assert daemon.uri(name) == account.id.hex()
        assert theirs.uri in daemon.contacts(name)
        wait_both(account, JamiAccount(daemon, name))
        # It stays: a 13.7 that forgets an account while it fetches may never do anything again.


class TestPin:
    """Linking by PIN over the DHT, which only 13.7 has."""

    @pytest.mark.parametrize("password", ["", PASSWORD])
    def test_from_jami(self, town: Town, ours: ShoalHost, old: JamidProcess, password: str) -> None:
        """Jami shows a PIN, we type it: a device more, and contacts and names travel."""
        name = old.add_account(town.bootstrap, Account_archivePassword=password)
        jami = JamiAccount(old, name)
        old.wait_announced(name)
        pin = old.offer_pin(name, password)

        account = ours.run(
            ours.node.accounts.link_pin(
                pin, password=password, device_name="a reef", key_bits=KEY_BITS
            )
        )
        assert account.id.hex() == jami.uri
        ours.run(account.wait_announced(PATIENCE))
        wait_both(account, jami)
        until(
            lambda: old.known_devices(name)[account.device_id.hex()] == "a reef",
            "our device's name at Jami",
            PATIENCE,
        )

    @pytest.mark.parametrize("password", ["", PASSWORD])
    def test_to_jami(self, town: Town, ours: ShoalHost, old: JamidProcess, password: str) -> None:
        """We show a PIN, Jami types it, in lower case as people do."""
        account = ours.create("Shower", password=password)
        pin = ours.run(account.devices.export_pin(password=password))

        name = old.import_pin(town.bootstrap, pin.text.lower(), password)
        old.wait_announced(name)
        assert old.uri(name) == account.id.hex()
        wait_both(account, JamiAccount(old, name))

    def test_contacts_are_synced(self, town: Town, ours: ShoalHost, old: JamidProcess) -> None:
        """What one device adds or blocks, the other one knows."""
        account = ours.create("Synced")
        pin = ours.run(account.devices.export_pin())
        name = old.import_pin(town.bootstrap, pin.text)
        old.wait_announced(name)
        wait_both(account, JamiAccount(old, name))
        first, second = "11" * 20, "22" * 20

        old.add_contact(name, first)
        ours.wait_event(ContactChanged, lambda event: event.peer.hex() == first and event.is_active)
        ours.run(account.contacts.add(second))
        until(lambda: second in old.contacts(name), "our contact at Jami", PATIENCE)
        ours.run(account.contacts.block(first))
        until(
            lambda: old.contacts(name).get(first, {}).get("banned") == "true",
            "our block at Jami",
            PATIENCE,
        )


class TestAuth:
    """Linking by `jami-auth`, which only Jami of 2026 has."""

    @pytest.mark.parametrize("password", ["", PASSWORD])
    def test_from_jami(
        self, town: Town, ours: ShoalHost, new: LibjamiProcess, password: str
    ) -> None:
        """We show an address, Jami scans it and confirms; a wrong password may be corrected."""
        name = new.add_account(town.bootstrap, Account_archivePassword=password)
        new.wait_announced(name)
        answers = iter([WRONG, password] if password else [""])
        tries: list[bool] = []

        def answer(was_wrong: bool) -> str:
            tries.append(was_wrong)
            return next(answers)

        async def link() -> Account:
            async with ours.node.accounts.link_new_device(
                password=answer, key_bits=KEY_BITS
            ) as link:
                uris.append(link.uri)
                return await link.wait()

        uris: list[str] = []
        linking = ours.begin(link())
        uri = until(lambda: uris[0] if uris else None, "the address to scan", PATIENCE)
        operation = new.add_device(name, uri)
        shown = new.wait_add_state(name, operation, 3)
        assert shown["peer_address"].startswith(ours.namespace.host)
        new.confirm_device(name, operation)

        account = linking.result(PATIENCE)
        assert new.wait_add_state(name, operation, 5)["error"] == ""
        assert account.id.hex() == new.uri(name)
        assert tries == ([False, True] if password else [])
        ours.run(account.wait_announced(PATIENCE))
        wait_both(account, JamiAccount(new, name))

    @pytest.mark.parametrize("password", ["", PASSWORD])
    def test_to_jami(self, town: Town, ours: ShoalHost, new: LibjamiProcess, password: str) -> None:
        """Jami shows an address, we type it and confirm; its user gets a second try."""
        account = ours.create("Elder", password=password)
        name, uri = new.begin_link(town.bootstrap)
        addresses: list[str] = []

        def confirm(address: str) -> bool:
            addresses.append(address)
            return True

        adding = ours.begin(account.devices.add(uri, confirm=confirm))
        try:
            asked = new.wait_scheme(name)
        except NotReachedError:
            if adding.done():
                adding.result()  # which says more
            raise
        assert asked["auth_scheme"] == ("password" if password else "")
        assert asked["peer_id"] == account.id.hex()
        if password:
            new.authenticate(name, WRONG)
            new.wait_auth_error(name)
        new.authenticate(name, password)

        adding.result(PATIENCE)
        assert new.wait_linked(name) == ""
        assert addresses[0].startswith(new.host)
        new.wait_announced(name)
        assert new.uri(name) == account.id.hex()
        wait_both(account, JamiAccount(new, name))


def refusal(
    ours: ShoalHost, account: Account, device: str, timeout: float = CALL_TIME
) -> RevokedError | None:
    """Try to connect; return that the device is revoked, None if that was not what is wrong."""
    try:
        channel = ours.run(account.connect(device, "sip", timeout=timeout))
    except TimeoutError:
        return None
    except ConnectError as error:
        is_of_chain = error.step is ConnectStep.CHAIN
        return error.cause if is_of_chain and isinstance(error.cause, RevokedError) else None
    ours.do(channel.close)
    return None


class TestRevoking:
    """A device that is revoked is refused at once."""

    def test_we_revoke(
        self, town: Town, ours: ShoalHost, theirs: JamiAccount, tmp_path: Path
    ) -> None:
        """Neither we nor a contact of ours take connections of the device any more."""
        account, contact = ours.create("Owner"), ours.create("Contact")
        ours.run(account.export(tmp_path / "archive.gz"))
        ours.run(contact.contacts.add(account.id))
        daemon = theirs.daemon
        name = daemon.import_archive(town.bootstrap, tmp_path / "archive.gz")
        daemon.wait_announced(name)
        lost = JamiAccount(daemon, name)
        wait_both(account, lost)

        ours.run(account.devices.revoke(lost.device))
        assert devices(account) == {account.device_id.hex()}
        # At once; but a renewed chain is looked for in the DHT, which takes as long as it takes.
        assert refusal(ours, account, lost.device, PATIENCE)
        until(lambda: refusal(ours, contact, lost.device), "the news at the contact's", PATIENCE)
        mark, refused = len(ours.events), contact.refusals
        daemon.send_text(name, contact.id.hex(), "it is me")  # which makes it call
        until(lambda: contact.refusals > refused, "a call of the lost device", PATIENCE)
        assert not any(
            isinstance(event, ConnectionOpened | DeviceChanged)
            and event.device.hex() == lost.device
            for event in ours.events[mark:]
        )

    @pytest.mark.parametrize("kind", GENERATIONS)
    def test_jami_revokes(self, town: Town, ours: ShoalHost, kind: str) -> None:
        """Our device, revoked by Jami, is refused by our contacts as soon as that is published."""
        daemon = town.jami(kind)
        name = daemon.add_account(town.bootstrap)
        daemon.wait_announced(name)
        account = ours.run(
            ours.node.accounts.import_archive(daemon.folder(name) / "archive.gz", key_bits=KEY_BITS)
        )
        ours.run(account.wait_announced(PATIENCE))
        wait_both(account, JamiAccount(daemon, name))
        contact = ours.create("Contact")
        ours.run(contact.contacts.add(account.id))

        assert daemon.revoke(name, account.device_id.hex()) == 0
        if kind == OLD:  # which lists the device again when that synchronizes once more
            daemon = town.again(daemon)  # and publishes its list when it starts
            daemon.wait_announced(name)
        else:
            assert account.device_id.hex() not in daemon.known_devices(name)
        until(lambda: refusal(ours, contact, account.device_id.hex()), "the news", PATIENCE)
