"""`AccountEngine`: one device of one account, made of small engines.

    Publication    our chain, announcement and revocations, kept in the DHT
    Presences      which devices of whom are online
    Chains         a device's chain, found and checked
    Inbox          requests to become a contact, in and out
    DhtSignalling  offers and answers of connections, in and out
    DeviceSyncing  the `sync://` channels with our other devices
    ContactBook, KnownDevices, Revocations, Permissions   of `shoal.identity`

What one part reports, another acts upon: the engine hands it over until only actions for the world
and events for users are left. Operations in the DHT go out as effects with an op, and come back
with it; connections are somebody else's, told and asked through effects and methods here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, InfoHash
from shoal.core.records import dataclass
from shoal.identity import EMPTY_MAP, SyncMessage, TreatedIds, parse_chain, split_map, split_sync
from shoal.identity import effects as book_fx
from shoal.identity.errors import RevokedError
from shoal.node.account import effects as fx
from shoal.node.account.chains import Chains, DeviceName, check_real
from shoal.node.account.inbox import Inbox
from shoal.node.account.operations import Clock, Operations
from shoal.node.account.presence import Presences
from shoal.node.account.publication import Publication
from shoal.node.account.revoking import RevocationIntake
from shoal.node.account.signalling import DhtSignalling
from shoal.node.account.sync import DeviceSyncing
from shoal.node.account.telling import TOLD, tell
from shoal.node.errors import TooMuchAskedError
from shoal.node.events import InstantMessageReceived, SyncReceived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from shoal.core import DeviceId, Entropy
    from shoal.crypto import RevocationList
    from shoal.dht import Value
    from shoal.identity import ContactBook, DeviceChain, DeviceCheck, KnownDevices, Revocations
    from shoal.net.effects import SendSignal
    from shoal.node.account.chains import ChainStore, ParseChain

    Handler = Callable[[Any, float], Sequence[object] | None]


@dataclass(frozen=True, slots=True)
class OwnDevice:
    """Who the engine is.

    Attributes:
        chain: our device's chain, checked.
        announcement: the value that announces it, of the receipt; None announces nothing.
    """

    chain: DeviceChain
    announcement: Value | None


FIND_AGAIN: Final = 6.0  # seconds, doubled each time; ours: chains.MISSING_KEPT must be over
FIND_TRIES_MAX: Final = 4  # ours: within a minute and a half
AGAIN_MAX: Final = 64  # ours: devices that wait to be looked for once more


class AccountEngine:
    """One account on one device. See the module's docstring.

    Attributes:
        book: contacts and requests; commands go by the engine.
        devices: the devices of the account.
        presences: who is online.
        more_to_share: gives preferences and statuses of messages, packed, for our other devices.
    """

    def __init__(
        self,
        own: OwnDevice,
        *,
        book: ContactBook,
        devices: KnownDevices,
        revocations: Revocations,
        store: ChainStore,
        entropy: Entropy,
        wall_offset: float,
        allow_public: bool = False,
        read: Iterable[int] = (),
        parse: ParseChain = parse_chain,
        check: DeviceCheck = check_real,
    ) -> None:
        self.own = own
        self.book = book
        self.devices = devices
        self.clock = Clock(wall_offset)
        self.allow_public = allow_public
        self.is_fellow: Callable[[AccountId], bool] = lambda account: False  # in a conversation
        self._entropy = entropy
        self._revocations = revocations
        self._operations = Operations()
        chain = own.chain
        self._shared = (EMPTY_MAP, EMPTY_MAP)  # conversations and invitations, packed
        self.more_to_share: Callable[[], tuple[bytes, bytes]] = lambda: (EMPTY_MAP, EMPTY_MAP)
        self.presences = Presences(self._operations, chain.account)
        self.chains = Chains(
            self._operations,
            self.clock,
            store,
            parse=parse,
            check=check,
            check_revocations=self._require_unrevoked,
        )
        self.publication = Publication(
            self._operations,
            entropy,
            chain.certificate,
            account=InfoHash(chain.account),
            announcement=own.announcement,
        )
        self.inbox = Inbox(
            self._operations,
            self.chains,
            self.presences,
            chain.account,
            chain.short_id,
            TreatedIds(read),
        )
        self.signalling = DhtSignalling(self._operations, self.chains, chain.device, chain.short_id)
        self.syncing = DeviceSyncing(self._operations, chain.device)
        self._intake = RevocationIntake(revocations)
        self._intake.met(chain)
        self._connected: dict[DeviceId, DeviceChain] = {}
        self._finding: dict[int, tuple[DeviceName, int]] = {}  # devices of ours, and the try
        self._again: deque[tuple[float, DeviceName, int]] = deque()  # to be looked for once more
        self._handlers = self._handlers_by_type()

    @property
    def account(self) -> AccountId:
        """Whose device it is."""
        return self.own.chain.account

    def begin(self) -> int:
        """Return a number for an operation of the caller."""
        return self._operations.begin_silent()

    def start(self, now: float) -> list[object]:
        """Publish what others need, listen to what they send, follow our contacts."""
        effects = self.publication.start(now)
        newest = self._revocations.newest(InfoHash(self.account))
        if newest is not None:
            effects += self.publication.revoke(newest.der)
        effects += self.inbox.start()
        effects += self.signalling.start()
        effects += self.presences.watch(self.account)
        for account, contact in self.book.contacts.items():
            if contact.is_active:
                effects += self.presences.watch(account)
        effects += self.devices.start()
        return self._settle(effects, now)

    def stop(self, now: float) -> list[object]:
        """Withdraw what we published, and listen no longer."""
        kept = self.inbox.advance(inf)
        effects = [*kept, *self.publication.stop(), *self.inbox.stop(), *self.signalling.stop()]
        for account in (self.account, *self.book.contacts):
            effects += self.presences.unwatch(account)
        return self._settle(effects, now)

    def next_deadline(self) -> float | None:
        """When `advance` next has work, or None. Pure."""
        parts = (self.publication, self.presences, self.inbox, self.signalling, self.syncing)
        deadlines = (part.next_deadline() for part in parts)
        again = min((moment for moment, _, _ in self._again), default=None)
        return min((each for each in (*deadlines, again) if each is not None), default=None)

    def advance(self, now: float) -> list[object]:
        """Do what is due at *now*."""
        effects = [
            *self._find_again(now),
            *self.publication.advance(now),
            *self.presences.advance(now),
            *self.inbox.advance(now),
            *self.signalling.advance(now),
        ]
        state = self._state(now) if self.syncing.is_due_to_send else ()
        effects += self.syncing.advance(now, state)
        return self._settle(effects, now)

    # What the DHT answers

    def values_found(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Take values of a get or a listen."""
        owner = self._operations.owner(op)
        return [] if owner is None else self._settle(owner.values_found(op, values, now), now)

    def values_expired(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Take values that a listen had reported, and that are gone."""
        owner = self._operations.owner(op)
        return [] if owner is None else self._settle(owner.values_expired(op, values, now), now)

    def dht_done(self, op: int, is_ok: bool, now: float) -> list[object]:
        """Take the end of a get or a put."""
        owner = self._operations.end(op)
        return [] if owner is None else self._settle(owner.dht_done(op, is_ok, now), now)

    def computed(self, compute_id: int, result: object, now: float) -> list[object]:
        """Take the result of a `Compute`, or the exception that it raised."""
        owner = self._operations.end_job(compute_id)
        return [] if owner is None else self._settle(owner.computed(compute_id, result, now), now)

    def network_changed(self, now: float) -> list[object]:
        """Try again at once what had failed."""
        return self._settle(self.publication.connected(), now)

    # What connections ask and report

    def may_connect(self, peer: DeviceChain) -> bool:
        """Whether a device may connect to us; blocked and revoked ones never may."""
        is_welcome = self.allow_public or self.is_fellow(peer.account)
        return self.book.is_allowed(peer, allow_public=is_welcome)

    def accepts_sync(self, peer: DeviceChain, name: str) -> bool:
        """Whether a `sync://` channel that *peer* asks for is taken."""
        return peer.account == self.account and self.syncing.accepts(peer, name)

    def send_signal(self, signal: SendSignal, now: float) -> list[object]:
        """Carry an offer or an answer to a device."""
        return self._settle(self.signalling.send(signal), now)

    def connection_opened(self, account: AccountId, device: DeviceId, now: float) -> list[object]:
        """Take note of a connection."""
        chain = self.chains.known(DeviceName(device, account=account), now)
        if chain is not None:
            self._connected[device] = chain
        return self._settle(self.presences.connection_opened(account, device, now), now)

    def connection_closed(self, account: AccountId, device: DeviceId, now: float) -> list[object]:
        """Take note that the last connection with a device is gone."""
        self._connected.pop(device, None)
        return self._settle(self.presences.connection_closed(account, device, now), now)

    def connection_failed(self, account: AccountId, device: DeviceId, now: float) -> list[object]:
        """Take note that a device could not be reached."""
        return self._settle(self.presences.connection_failed(account, device, now), now)

    def channel_opened(self, op: int, number: int, now: float) -> list[object]:
        """Take a channel that an `OpenChannel` asked for, under a *number* of the caller's."""
        return self._settle(self.syncing.channel_opened(op, number, self._state(now)), now)

    def channel_failed(self, op: int, now: float) -> list[object]:
        """Take note that an `OpenChannel` failed."""
        return self._settle(self.syncing.channel_failed(op, now), now)

    def sync_accepted(self, number: int, peer: DeviceChain, now: float) -> list[object]:
        """Take a `sync://` channel that a device of ours opened."""
        return self._settle(self.syncing.channel_accepted(number, peer, self._state(now)), now)

    def channel_received(self, number: int, data: bytes, now: float) -> list[object]:
        """Take a packet of a sync channel."""
        return self._settle(self.syncing.received(number, data), now)

    def channel_closed(self, number: int, now: float) -> list[object]:
        """Take note that a sync channel is closed."""
        return self._settle(self.syncing.closed(number, now), now)

    # What users ask

    def find_chain(self, op: int, name: DeviceName, now: float) -> list[object]:
        """Find the chain of a device: `ChainFound` or `ChainMissing` with this op follows.

        Raises:
            TooMuchAskedError: as many as allowed are being looked for.
        """
        return self._settle(self.chains.find(op, name, now), now)

    def find_devices(self, op: int, account: AccountId, now: float) -> list[object]:
        """Ask the DHT which devices of *account* are online: `DevicesFound` follows.

        Raises:
            TooMuchAskedError: as many as allowed are being asked about.
        """
        return self._settle(self.presences.find_devices(op, account), now)

    def request_contact(
        self, account: AccountId, payload: bytes, conversation_id: str, now: float
    ) -> list[object]:
        """Add a contact and ask it to add us.

        Raises:
            ContactError: why that cannot be.
        """
        effects = self.book.request(
            account, self.clock.wall(now), payload=payload, conversation_id=conversation_id
        )
        return self._settle(effects, now)

    def accept_contact(self, account: AccountId, now: float) -> list[object]:
        """Accept a request.

        Raises:
            UnknownRequestError: there is none.
        """
        return self._settle(self.book.accept(account, self.clock.wall(now)), now)

    def decline_contact(self, account: AccountId, now: float) -> list[object]:
        """Forget a request.

        Raises:
            UnknownRequestError: there is none.
        """
        return self._settle(self.book.decline(account, self.clock.wall(now)), now)

    def block_contact(self, account: AccountId, now: float) -> list[object]:
        """Let nothing of an account through.

        Raises:
            OwnAccountError: it is ours.
        """
        return self._settle(self.book.block(account, self.clock.wall(now)), now)

    def unblock_contact(self, account: AccountId, now: float) -> list[object]:
        """Let an account through again.

        Raises:
            UnknownContactError: it is not blocked.
        """
        return self._settle(self.book.unblock(account, self.clock.wall(now)), now)

    def remove_contact(self, account: AccountId, now: float) -> list[object]:
        """Forget a contact.

        Raises:
            UnknownContactError: it is none.
        """
        return self._settle(self.book.remove(account, self.clock.wall(now)), now)

    # Inside

    def _settle(self, effects: Sequence[object], now: float) -> list[object]:
        """Hand what parts report to the parts that act upon it; return what is for others.

        What follows from an effect comes before the effects after it, so order is kept.
        """
        out: list[object] = []
        pending = deque(effects)
        while pending:
            effect = pending.popleft()
            handler = self._handlers.get(type(effect))
            follow_up = None if handler is None else handler(effect, now)
            if follow_up is None:
                out.append(effect)
            else:
                pending.extendleft(reversed(follow_up))
        return out

    def rename_device(self, name: str, now: float) -> list[object]:
        """Call this device *name*, and tell the others."""
        return self._settle(self.devices.rename(name), now)

    def revoke(self, revocations: RevocationList, now: float) -> list[object]:
        """Publish a new list of our own account's revoked devices, and act upon it at once."""
        kept: list[object] = list(self._intake.take(self.account, revocations))
        return self._settle([*kept, *self.publication.revoke(revocations.der)], now)

    def set_announced(self, is_announced: bool, now: float) -> list[object]:
        """Be found by others, or only call."""
        announcement = self.own.announcement if is_announced else None
        return self._settle(self.publication.announce(announcement), now)

    def _handlers_by_type(self) -> dict[type, Handler]:
        """Return who acts upon what: None as an answer says that it is for others, too."""
        return {
            fx.ChainFound: self._chain_found,
            fx.ChainMissing: self._chain_missing,
            fx.DevicesFound: self._devices_found,
            fx.DeviceAppeared: self._device_appeared,
            fx.DeviceLeft: self._device_left,
            fx.RevocationsSeen: lambda effect, _: self._intake.seen(effect.account, effect.data),
            fx.KeepRevocations: self._revoked,
            fx.TrustRequestArrived: self._request_arrived,
            fx.InstantMessageArrived: self._message_arrived,
            fx.TrustRequestPut: self._request_put,
            fx.DeviceSyncArrived: lambda effect, now: self._synced(
                effect.chain, SyncMessage(effect.sync), now
            ),
            fx.SyncArrived: lambda effect, now: self._synced(effect.chain, effect.message, now),
            book_fx.SendTrustRequest: self._send_request,
            book_fx.SyncDevices: self._state_changed,
            book_fx.CloseConnections: lambda effect, _: [fx.CloseConnections(effect.account)],
            book_fx.FindDevice: self._device_told,
            book_fx.ContactAdded: self._contact_added,
            book_fx.ContactRemoved: self._contact_removed,
            book_fx.DeviceRemoved: self._own_device_removed,
            **dict.fromkeys(TOLD, self._tell),
        }

    def _tell(self, effect: object, now: float) -> Sequence[object]:
        return tell(effect, self.book, self.devices)

    def _contact_added(self, effect: book_fx.ContactAdded, now: float) -> Sequence[object]:
        return [*self.presences.watch(effect.account), *self._tell(effect, now)]

    def _contact_removed(self, effect: book_fx.ContactRemoved, now: float) -> Sequence[object]:
        return [*self.presences.unwatch(effect.account), *self._tell(effect, now)]

    def _own_device_removed(self, effect: book_fx.DeviceRemoved, now: float) -> Sequence[object]:
        return [*self.syncing.device_revoked(effect.device), *self._tell(effect, now)]

    def _state_changed(self, effect: object, now: float) -> Sequence[object]:
        self.syncing.state_changed(now)
        return ()

    def _device_told(self, effect: book_fx.FindDevice, now: float) -> Sequence[object]:
        return self._find_own(DeviceName(effect.device, effect.short_id, self.account), now)

    def _request_arrived(self, effect: fx.TrustRequestArrived, now: float) -> Sequence[object]:
        chain, request = effect.chain, effect.request
        received = self.book.request_received(chain, request, now, self.clock.wall(now))
        return [*self._intake.met(chain), *received]

    def _message_arrived(self, effect: fx.InstantMessageArrived, now: float) -> Sequence[object]:
        """Pass a message on, and acknowledge it, unless its sender may not reach us."""
        chain, message = effect.chain, effect.message
        if not self.may_connect(chain):
            return ()
        told = InstantMessageReceived(
            self.account, chain.account, chain.device, message.data_type, message.text
        )
        return [told, *self.inbox.acknowledge(chain, message)]

    def _request_put(self, effect: fx.TrustRequestPut, now: float) -> None:
        if effect.is_taken:
            self.book.request_sent(effect.account, effect.device, now)

    def _chain_found(self, effect: fx.ChainFound, now: float) -> Sequence[object] | None:
        """Hand a chain to the part that looked for it."""
        op, chain = effect.op, effect.chain
        met: list[object] = list(self._intake.met(chain))
        try:
            self._require_unrevoked(chain)
        except RevokedError as error:  # by a list that has waited for this chain
            return [*met, fx.ChainMissing(op, error)]
        if self._finding.pop(op, None) is not None:
            return [*met, *self._own_device_found(chain)]
        if op in self.signalling:
            return [*met, *self.signalling.chain_found(op, chain)]
        if op in self.inbox:
            return [*met, *self.inbox.chain_found(op, chain)]
        return None

    def _chain_missing(self, effect: fx.ChainMissing, now: float) -> Sequence[object] | None:
        """Tell the part that looked for a chain that there is none."""
        if (sought := self._finding.pop(effect.op, None)) is not None:
            name, tries = sought
            if tries < FIND_TRIES_MAX and len(self._again) < AGAIN_MAX:
                self._again.append((now + FIND_AGAIN * 2.0**tries, name, tries + 1))
            return ()
        if effect.op in self.signalling:
            return self.signalling.chain_missing(effect.op, effect.error)
        return self.inbox.chain_missing(effect.op) if effect.op in self.inbox else None

    def _devices_found(self, effect: fx.DevicesFound, now: float) -> Sequence[object] | None:
        if effect.op not in self.inbox:
            return None
        return self.inbox.devices_found(effect.op, effect.devices, now)

    def _device_left(self, effect: fx.DeviceLeft, now: float) -> Sequence[object]:
        if effect.account == self.account and effect.device.device is not None:
            self.syncing.device_offline(effect.device.device)
        return ()

    def _device_appeared(self, effect: fx.DeviceAppeared, now: float) -> Sequence[object]:
        """Resend what a contact's device may have missed; meet a device of our own."""
        account, device = effect.account, effect.device
        if account != self.account:
            return self.book.device_online(account, device.short_id, now)
        if device.short_id == self.own.chain.short_id:
            return ()
        return self._find_own(DeviceName(device.device, device.short_id, account), now)

    def _find_again(self, now: float) -> list[object]:
        """Look once more for devices of ours: a chain may come after its announcement."""
        due = [each for each in self._again if each[0] <= now]
        self._again = deque(each for each in self._again if each[0] > now)
        return [each for _, name, tries in due for each in self._find_own(name, now, tries)]

    def _find_own(self, name: DeviceName, now: float, tries: int = 0) -> Sequence[object]:
        """Look for the chain of a device of ours."""
        op = self.begin()
        self._finding[op] = (name, tries)
        try:
            return self.chains.find(op, name, now)
        except TooMuchAskedError:
            del self._finding[op]
            return ()

    def _own_device_found(self, chain: DeviceChain) -> Sequence[object]:
        """Know a device of ours; sync with it if it is online."""
        effects: list[object] = list(self.devices.chain_found(chain))
        announced = {each.short_id for each in self.presences.announced(self.account)}
        if chain.short_id in announced and self.devices.is_own(chain):
            effects += self.syncing.device_online(chain)
        return effects

    def _send_request(self, effect: book_fx.SendTrustRequest, now: float) -> Sequence[object]:
        op = self.begin()
        try:
            return self.inbox.send(op, effect.account, effect.request, effect.device, now)
        except TooMuchAskedError:
            return [fx.TrustRequestDone(op, effect.account, 0)]  # again when its devices appear

    def _synced(self, chain: DeviceChain, message: SyncMessage, now: float) -> Sequence[object]:
        """Take what a device of ours tells, if it still is one."""
        if not self.devices.is_own(chain):
            return ()
        wall_now = self.clock.wall(now)
        effects: list[object] = [
            *self.devices.chain_found(chain),
            *self.devices.merge(message.devices.devices),
            *self.book.merge(message.devices, wall_now, is_current=message.is_current),
            *self.devices.synced(chain.device, wall_now),
        ]
        parts = (
            message.conversations,
            message.conversation_requests,
            message.preferences,
            message.statuses or EMPTY_MAP,
        )
        if any(part != EMPTY_MAP for part in parts):
            effects.append(SyncReceived(self.account, chain.device, parts))
        return effects

    def _revoked(self, effect: fx.KeepRevocations, now: float) -> list[object] | None:
        """Act upon news about revoked devices: whoever is connected is looked at again.

        So is who may be: a connection that is being made must not come up any more.
        """
        if effect.is_applied:
            return None
        gone = [chain for chain in self._connected.values() if not self.may_connect(chain)]
        gone += [
            chain
            for chain in self.chains.known_of(effect.account)
            if chain.device not in self._connected and self._revocations.is_chain_revoked(chain)
        ]
        return [
            replace(effect, is_applied=True),
            *(self.devices.revoked() if effect.account == self.account else ()),
            *(fx.CloseConnections(chain.account, chain.device) for chain in gone),
        ]

    def _require_unrevoked(self, chain: DeviceChain) -> None:
        """Refuse a chain with a link that was revoked.

        Raises:
            RevokedError: it has one.
        """
        if self._revocations.is_chain_revoked(chain):
            raise RevokedError(f"device {chain.device} was revoked")

    def share(self, conversations: bytes, requests: bytes, now: float) -> None:
        """Tell our other devices about conversations and invitations, as packed maps."""
        if (conversations, requests) != self._shared:
            self._shared = (conversations, requests)
            self.syncing.state_changed(now)

    def tell_devices(self, preferences: bytes, statuses: bytes, now: float) -> None:
        """Tell our other devices what is new in these packed maps, and nothing else."""
        self.syncing.tell(list(_packets(preferences, statuses)), now)

    def _state(self, now: float) -> Iterator[bytes]:
        """Yield what our other devices are told, in packets."""
        wall_now = self.clock.wall(now)
        state = self.book.state(self.devices.state(), self._entropy, wall_now)
        for part in split_sync(state):
            yield SyncMessage(part, statuses=EMPTY_MAP).pack()
        conversations, requests = self._shared
        for cut in split_map(conversations):
            yield SyncMessage(conversations=cut, statuses=EMPTY_MAP).pack()
        for cut in split_map(requests):
            yield SyncMessage(conversation_requests=cut, statuses=EMPTY_MAP).pack()
        yield from _packets(*self.more_to_share())


def _packets(preferences: bytes, statuses: bytes) -> Iterator[bytes]:
    """Yield messages with these maps, each of which fits into a packet."""
    for cut in split_map(preferences):
        yield SyncMessage(preferences=cut, statuses=EMPTY_MAP).pack()
    for cut in split_map(statuses):
        yield SyncMessage(statuses=cut).pack()
