"""The inboxes of devices: requests to become a contact, and what 13.7 sends while it connects.

    in    value in our inbox ── how often from there? ── chain ── TrustRequestArrived
    out   send ── announced devices ── key ── seal for each ── put ── TrustRequestDone

Everything in an inbox is sealed for one device, so storing nodes keep it ten minutes, whatever it
is: nobody leaves anything for devices that are offline.

But for these ten minutes it stays, and a device that restarts reads it once more. So the ids of
values that were read are kept on disk: a request that was declined is not shown again by itself.

Source: Jami account_manager.cpp, sendTrustRequest and jamiaccount.cpp; reference sections 3.6 to
3.8 and 4.2.
"""

from __future__ import annotations

import hashlib
from dataclasses import field
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import DecodeError, DeviceId, InfoHash, Persist
from shoal.core.records import dataclass
from shoal.dht import Value
from shoal.identity import (
    INSTANT_MESSAGE_TYPE,
    TRUST_REQUEST_TYPE,
    DeviceSync,
    InstantMessage,
    TrustRequest,
    acknowledge,
)
from shoal.node.account.chains import DeviceName
from shoal.node.account.effects import (
    AnnouncedDevice,
    DeviceSyncArrived,
    DhtCancel,
    DhtListen,
    DhtSeal,
    InstantMessageArrived,
    TrustRequestArrived,
    TrustRequestDone,
    TrustRequestPut,
)
from shoal.node.account.limiter import SenderLimiter
from shoal.node.errors import TooMuchAskedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import AccountId
    from shoal.identity import DeviceChain, TreatedIds
    from shoal.node.account.chains import Chains
    from shoal.node.account.operations import Operations
    from shoal.node.account.presence import Presences

_Message: TypeAlias = TrustRequest | DeviceSync | InstantMessage

SYNC_TYPE: Final = 0  # Jami account_manager.h, DeviceSync: user data
MESSAGES_BURST: Final = 10  # ours: of one device at once
MESSAGES_RATE: Final = 0.1  # per second and device; ours
SENDERS_MAX: Final = 4096  # ours: devices that are told apart
WAITING_MAX: Final = 256  # ours: messages whose sender's chain is being looked for
RETRY_FIRST: Final = 3.0  # seconds, doubled for each try: chains.MISSING_KEPT must be over; ours
TRIES_MAX: Final = 4  # ours: within a minute
SAVE_AFTER: Final = 1.0  # seconds that ids are gathered for, before they are written; ours
READ_FILE: Final = "readRequests"
SENDINGS_MAX: Final = 1024  # ours: requests being sent


@dataclass(slots=True)
class InboxStats:
    """Counters of our inbox.

    Attributes:
        received: values that came.
        undecodable: of a type that we know, and not what that type says.
        ignored: of other types.
        limited: dropped because their sender sends too many.
        unknown: dropped because the sender's chain was not found, or does not hold.
        sent: requests put for devices of others.
        unsent: of these, which no other node took.
    """

    received: int = 0
    undecodable: int = 0
    ignored: int = 0
    limited: int = 0
    unknown: int = 0
    sent: int = 0
    unsent: int = 0


@dataclass(slots=True, eq=False)
class _Waiting:
    """A message whose sender's chain is being looked for."""

    name: DeviceName
    message: _Message
    tries: int = 0
    retry_at: float = 0.0


@dataclass(slots=True, eq=False)
class _Sending:
    """A request on its way to the devices of an account."""

    op: int
    account: AccountId
    request: TrustRequest
    puts: int = 0
    taken: int = 0
    steps: set[int] = field(default_factory=set)  # lookups and searches that it waits for


class Inbox:
    """Reads the inbox of one device, and puts requests into those of others."""

    def __init__(
        self,
        operations: Operations,
        chains: Chains,
        presences: Presences,
        account: AccountId,
        short_id: InfoHash,
        read: TreatedIds,
    ) -> None:
        """Read for the device of *account* with this short id, once started.

        *read* are the ids of values that were read before; `advance` keeps them on disk.
        """
        self.stats: Final = InboxStats()
        self._operations = operations
        self._chains = chains
        self._presences = presences
        self._account = account
        self._key = inbox_key(short_id)
        self._read = read
        self._save_at: float | None = None
        self._listen: int | None = None
        self._limiter: SenderLimiter[InfoHash] = SenderLimiter(
            MESSAGES_BURST, MESSAGES_RATE, SENDERS_MAX
        )
        self._waiting: dict[int, _Waiting] = {}  # by op of the search
        self._retries: list[_Waiting] = []  # whose sender was not found, to be looked for again
        self._sendings: dict[int, _Sending] = {}  # by step: lookup, search or put
        self._targets: dict[int, InfoHash] = {}  # by op of the put: the device

    def start(self) -> list[object]:
        """Listen."""
        self._listen = self._operations.begin(self)
        return [DhtListen(self._listen, self._key)]

    def stop(self) -> list[object]:
        """Listen no longer, and forget what is under way."""
        effects: list[object] = []
        if self._listen is not None:
            effects.append(DhtCancel(self._listen))
            self._operations.end(self._listen)
            self._listen = None
        for op in (*self._waiting, *self._sendings):
            effects += self._chains.cancel(op)
            self._operations.end(op)
        self._waiting, self._sendings, self._targets, self._retries = {}, {}, {}, []
        return effects

    def send(
        self,
        op: int,
        account: AccountId,
        request: TrustRequest,
        device: InfoHash | None,
        now: float,
    ) -> list[object]:
        """Put *request* into the inbox of one device of *account*, or of all that are announced.

        One `TrustRequestPut` for each device follows, then one `TrustRequestDone`.

        Raises:
            TooMuchAskedError: as many as allowed are being sent.
        """
        if len(self._sendings) >= SENDINGS_MAX:
            raise TooMuchAskedError
        sending = _Sending(op, account, request)
        announced = self._presences.announced(account)
        known = next((each for each in announced if each.short_id == device), None)
        if device is not None:
            target = known or AnnouncedDevice(device, None, None)
            return self._address_all(sending, (target,), now)
        step = self._operations.begin(self)
        sending.steps.add(step)
        self._sendings[step] = sending
        return self._presences.find_devices(step, account)

    def devices_found(
        self, step: int, devices: Sequence[AnnouncedDevice], now: float
    ) -> list[object]:
        """Take the devices of an account that a request is for."""
        sending = self._leave(step)
        return [] if sending is None else self._address_all(sending, devices, now)

    def chain_found(self, op: int, chain: DeviceChain) -> list[object]:
        """Take the chain of a sender, or of a device that a request is for."""
        waiting = self._waiting.pop(op, None)
        if waiting is not None:
            self._operations.end(op)
            return self._arrived(chain, waiting.message)
        sending = self._leave(op)
        if sending is None:
            return []
        return [*self._seal(sending, chain.short_id, chain.spki), *self._conclude(sending)]

    def chain_missing(self, op: int) -> list[object]:
        """Drop a message whose sender proves nothing, or leave out a device without a chain."""
        if (waiting := self._waiting.pop(op, None)) is not None:
            self._operations.end(op)
            self._put_off(waiting)
            return []
        sending = self._leave(op)
        return [] if sending is None else self._conclude(sending)

    def values_found(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Take values that were decrypted for us."""
        effects: list[object] = []
        for value in values if op == self._listen else ():
            if value.id not in self._read:
                effects += self._received(value, now)
        return effects

    def values_expired(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Ignore: what is gone from the inbox was read."""
        return []

    def dht_done(self, op: int, is_ok: bool, now: float) -> list[object]:
        """Take the outcome of a put."""
        sending = self._sendings.pop(op, None)
        if sending is None:
            self._operations.end(op)  # an acknowledgement
            return []
        device = self._targets.pop(op)
        sending.puts -= 1
        sending.taken += is_ok
        self.stats.unsent += not is_ok
        put = TrustRequestPut(sending.op, sending.account, device, is_ok)
        return [put, *self._conclude(sending)]

    def __contains__(self, op: int) -> bool:
        """Whether *op* is a search or a lookup of ours."""
        return op in self._waiting or (op in self._sendings and op not in self._targets)

    def next_deadline(self) -> float | None:
        """When the ids of what was read are to be kept, or a sender is looked for again."""
        moments = [each.retry_at for each in self._retries]
        if self._save_at is not None:
            moments.append(self._save_at)
        return min(moments, default=None)

    def advance(self, now: float) -> list[object]:
        """Keep them, some at a time: each write waits for the disk."""
        effects: list[object] = []
        due = [each for each in self._retries if each.retry_at <= now]
        self._retries = [each for each in self._retries if each.retry_at > now]
        for waiting in due:
            effects += self._look(waiting, now)
        if self._save_at is not None and now >= self._save_at:
            self._save_at = None
            effects.append(Persist(READ_FILE, self._read.pack()))
        return effects

    def acknowledge(self, chain: DeviceChain, message: InstantMessage) -> list[object]:
        """Tell the sender of a message that it has arrived: in our own inbox, where it waits."""
        op = self._operations.begin(self)
        value = Value(acknowledge(message).pack(), INSTANT_MESSAGE_TYPE)
        return [DhtSeal(op, self._key, value, chain.spki)]

    # In

    def _received(self, value: Value, now: float) -> list[object]:
        if value.owner is None or value.owner_id is None or value.recipient is None:
            return []  # in clear, or signed for everybody: not for an inbox
        self.stats.received += 1
        try:
            message = _read(value)
        except DecodeError:
            self.stats.undecodable += 1
            return []
        if message is None:
            self.stats.ignored += 1
            return []
        is_allowed = self._limiter.allows(value.owner_id, now) and len(self._waiting) < WAITING_MAX
        if not is_allowed:
            self.stats.limited += 1
            return []
        self._read.add(value.id)
        if self._save_at is None:
            self._save_at = now + SAVE_AFTER
        device = DeviceId(hashlib.sha256(value.owner).digest())
        return self._look(_Waiting(DeviceName(device, value.owner_id), message), now)

    def _look(self, waiting: _Waiting, now: float) -> list[object]:
        """Look for the chain of who sent a message."""
        waiting.tries += 1
        waiting.retry_at = now + RETRY_FIRST * 2.0**waiting.tries
        op = self._operations.begin(self)
        self._waiting[op] = waiting
        try:
            return self._chains.find(op, waiting.name, now)
        except TooMuchAskedError:
            return self.chain_missing(op)

    def _put_off(self, waiting: _Waiting) -> None:
        """Look again later: a chain that was put a moment ago may be missed once."""
        if waiting.tries < TRIES_MAX and len(self._retries) < WAITING_MAX:
            self._retries.append(waiting)
        else:
            self.stats.unknown += 1

    def _arrived(self, chain: DeviceChain, message: _Message) -> list[object]:
        if isinstance(message, TrustRequest):
            return [TrustRequestArrived(chain, message)]
        if isinstance(message, InstantMessage):
            # Without text it is an acknowledgement; we send nothing that way.
            return [InstantMessageArrived(chain, message)] if message.text else []
        if chain.account != self._account:
            self.stats.unknown += 1
            return []
        return [DeviceSyncArrived(chain, message)]

    # Out

    def _address_all(
        self, sending: _Sending, devices: Sequence[AnnouncedDevice], now: float
    ) -> list[object]:
        effects: list[object] = []
        for device in devices:
            effects += self._address(sending, device, now)
        return [*effects, *self._conclude(sending)]

    def _address(self, sending: _Sending, device: AnnouncedDevice, now: float) -> list[object]:
        """Put the request for a device whose key is known, or look for its key."""
        if device.spki is not None:
            return self._seal(sending, device.short_id, device.spki)
        op = self._operations.begin(self)
        self._sendings[op] = sending
        sending.steps.add(op)
        name = DeviceName(device.device, device.short_id, sending.account)
        try:
            return self._chains.find(op, name, now)
        except TooMuchAskedError:
            self._leave(op)
            return []

    def _seal(self, sending: _Sending, short_id: InfoHash, spki: bytes) -> list[object]:
        op = self._operations.begin(self)
        self._sendings[op] = sending
        self._targets[op] = short_id
        sending.puts += 1
        self.stats.sent += 1
        value = Value(sending.request.pack(), TRUST_REQUEST_TYPE)
        return [DhtSeal(op, inbox_key(short_id), value, spki)]

    def _leave(self, op: int) -> _Sending | None:
        """Return the sending that waited for step *op*."""
        if op in self._targets:
            return None
        sending = self._sendings.pop(op, None)
        if sending is not None:
            sending.steps.discard(op)
            self._operations.end(op)
        return sending

    def _conclude(self, sending: _Sending) -> list[object]:
        if sending.steps or sending.puts:
            return []
        return [TrustRequestDone(sending.op, sending.account, sending.taken)]


def inbox_key(short_id: InfoHash) -> InfoHash:
    """Return where the inbox of a device is: by its short id, in every Jami."""
    return InfoHash.of(f"inbox:{short_id.hex()}".encode())


def _read(value: Value) -> _Message | None:
    """Return what a value in an inbox says; None for types that are none of ours.

    Raises:
        DecodeError: it is not what its type says.
    """
    if value.type == TRUST_REQUEST_TYPE:
        return TrustRequest.unpack(value.data)
    if value.type == INSTANT_MESSAGE_TYPE:
        return InstantMessage.unpack(value.data)
    if value.type == SYNC_TYPE and not value.user_type:
        return DeviceSync.unpack(value.data)
    return None
