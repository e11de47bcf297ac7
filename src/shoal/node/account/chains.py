"""Finding a device's chain, by either of its ids, and checking it before anybody sees it.

    find ── known here? ── check ──────────────────────────────────────────────┐
              │ no                                                             ├─ ChainFound
              └── get at the short id, get at SHA-1 of the long id ── check ───┘   or ChainMissing

The DHT has a device's chain at its short id (Jami until 2026), at the SHA-1 of its long id (Jami
since), or at both, and at both anybody may have put anything. So what is found is parsed and
checked away from the event loop, a few candidates at a time, until one holds.

Source: reference sections 1.4, 3.2 and 3.9.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from shoal.core import Compute, DecodeError, DeviceId, InfoHash, ShoalError
from shoal.core.records import dataclass
from shoal.crypto import Certificate
from shoal.dht import CERTIFICATE, CertificateValue, Condition, Field
from shoal.identity import check_device
from shoal.node.account.effects import ChainFound, ChainMissing, DhtCancel, DhtGet, KeepChain
from shoal.node.errors import DeviceNotFoundError, TooMuchAskedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shoal.core import AccountId
    from shoal.crypto.suite import SuiteCertificate
    from shoal.dht import Value
    from shoal.identity import DeviceChain, DeviceCheck
    from shoal.node.account.operations import Clock, Operations

KNOWN_MAX: Final = 4096  # ours: chains kept in memory, 10 kB each; the one unused longest goes
SEARCHES_MAX: Final = 512  # ours: devices looked for at a time
WAITERS_MAX: Final = 4096  # ours: who waits for them
CANDIDATES_MAX: Final = 64  # ours: values tried per search; others' may surround the right one
MISSING_KEPT: Final = 5.0  # seconds for which a device that was not found is not looked for; ours
MISSING_MAX: Final = 4096  # ours: such devices remembered

ParseChain: TypeAlias = "Callable[[bytes], SuiteCertificate]"
RevocationCheck: TypeAlias = "Callable[[DeviceChain], None]"  # raises RevokedError


class ChainStore(Protocol):
    """The certificates that are kept on disk."""

    def find(self, name: DeviceId | InfoHash) -> SuiteCertificate | None:
        """Return the chain of the device with this long or short id."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceName:
    """A device by one of its ids, or by both.

    Attributes:
        device: the long id, or None.
        short_id: the short id, or None; one of both is there.
        account: whose device it must be, or None for anybody's.
    """

    device: DeviceId | None = None
    short_id: InfoHash | None = None
    account: AccountId | None = None

    @property
    def ids(self) -> tuple[DeviceId | InfoHash, ...]:
        """The ids that are known."""
        return tuple(each for each in (self.device, self.short_id) if each is not None)

    @property
    def places(self) -> tuple[InfoHash, ...]:
        """Where in the DHT its chain may be."""
        long_place = () if self.device is None else (self.device.infohash,)
        return long_place + (() if self.short_id is None else (self.short_id,))


@dataclass(slots=True, eq=False)
class _Search:
    """A device that is looked for in the DHT."""

    name: DeviceName
    waiters: dict[int, DeviceName]
    gets: dict[int, None] = field(default_factory=dict)
    jobs: dict[int, None] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)
    error: ShoalError | None = None


class Chains:
    """The chains of devices: known ones, and searches for others; bounded."""

    def __init__(
        self,
        operations: Operations,
        clock: Clock,
        store: ChainStore,
        *,
        parse: ParseChain,
        check: DeviceCheck,
        check_revocations: RevocationCheck,
    ) -> None:
        self._operations = operations
        self._clock = clock
        self._store = store
        self._parse = parse
        self._check = check
        self._check_revocations = check_revocations
        self._known: OrderedDict[DeviceId, DeviceChain] = OrderedDict()
        self._long_ids: dict[InfoHash, DeviceId] = {}
        self._searches: dict[DeviceName, _Search] = {}
        self._by_op: dict[int, _Search] = {}
        self._waiters: dict[int, _Search] = {}
        self._missing: OrderedDict[DeviceName, tuple[float, ShoalError]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def known(self, name: DeviceName, now: float) -> DeviceChain | None:
        """Return the chain of a device without asking the DHT; None if it is not known, or bad."""
        try:
            return self._local(name, now)
        except ShoalError:
            return None

    def known_of(self, account: AccountId) -> list[DeviceChain]:
        """Return the chains of an account's devices that are in memory, revoked or not."""
        return [chain for chain in self._known.values() if chain.account == account]

    def find(self, op: int, name: DeviceName, now: float) -> list[object]:
        """Find the chain of a device: `ChainFound` or `ChainMissing` follows, perhaps at once.

        Raises:
            TooMuchAskedError: as many as allowed are being looked for.
        """
        error: ShoalError | None = None
        try:
            chain = self._local(name, now)
        except ShoalError as problem:
            chain, error = None, problem  # the DHT may have a renewed one
        if chain is not None:
            return [ChainFound(op, chain)]
        missing = self._missing.get(name)
        if missing is not None and now < missing[0] + MISSING_KEPT:
            return [ChainMissing(op, missing[1])]
        search = self._searches.get(name)
        if search is not None:
            if len(self._waiters) >= WAITERS_MAX:
                raise TooMuchAskedError
            search.waiters[op] = name
            self._waiters[op] = search
            return []
        if len(self._searches) >= SEARCHES_MAX or len(self._waiters) >= WAITERS_MAX:
            raise TooMuchAskedError
        return self._search(op, name, error)

    def cancel(self, op: int) -> list[object]:
        """Let *op* wait no longer."""
        search = self._waiters.pop(op, None)
        if search is None:
            return []
        del search.waiters[op]
        return [] if search.waiters else self._end(search)

    def learn(self, certificate: SuiteCertificate, now: float) -> list[object]:
        """Take a chain that came by another way, once it holds.

        Raises:
            ChainError: it does not hold.
        """
        chain = self._check(certificate, self._clock.wall(now))
        self._check_revocations(chain)
        return self._remember(chain)

    def values_found(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Take what lies at one of the places of a device; any number of it may be false."""
        search = self._by_op.get(op)
        if search is None:
            return []
        room = CANDIDATES_MAX - len(search.seen)
        fresh = [v.data for v in values if v.type == CERTIFICATE and v.data not in search.seen]
        candidates = tuple(dict.fromkeys(fresh))[:room]
        if not candidates:
            return []
        search.seen.update(candidates)
        job = self._operations.begin_job(self)
        search.jobs[job] = None
        self._by_op[job] = search
        wall_now = self._clock.wall(now)
        work = partial(_first_good, candidates, search.name, wall_now, self._parse, self._check)
        return [Compute(job, work)]

    def values_expired(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Ignore: a get reports none."""
        return []

    def dht_done(self, op: int, is_ok: bool, now: float) -> list[object]:
        """Take the end of one of the gets."""
        search = self._by_op.pop(op, None)
        if search is None:
            return []
        del search.gets[op]
        return self._conclude(search, now)

    def computed(self, compute_id: int, result: object, now: float) -> list[object]:
        """Take the chain that was found among candidates, or why none of them holds."""
        search = self._by_op.pop(compute_id, None)
        if search is None:
            return []
        del search.jobs[compute_id]
        if isinstance(result, ShoalError):
            search.error = result
        elif result is not None and not isinstance(result, Exception):
            chain: DeviceChain = result  # type: ignore[assignment]  # what our job returns
            try:
                self._check_revocations(chain)
            except ShoalError as error:
                search.error = error
            else:
                found = [ChainFound(op, chain) for op in search.waiters]
                return [*self._remember(chain), *self._end(search), *found]
        return self._conclude(search, now)

    def _local(self, name: DeviceName, now: float) -> DeviceChain | None:
        """Return a chain that is known here, checked anew.

        Raises:
            ChainError: it holds no longer.
        """
        device = name.device
        if device is None and name.short_id is not None:
            device = self._long_ids.get(name.short_id)
        known = None if device is None else self._known.get(device)
        certificate = None if known is None else known.certificate
        for each in name.ids:
            certificate = certificate or self._store.find(each)
        if certificate is None:
            return None
        chain = self._check(certificate, self._clock.wall(now), account=name.account)
        self._check_revocations(chain)
        self._remember(chain)
        return chain

    def _search(self, op: int, name: DeviceName, error: ShoalError | None) -> list[object]:
        search = _Search(name, {op: name}, error=error)
        self._searches[name] = self._waiters[op] = search
        effects: list[object] = []
        for place in name.places:
            get = self._operations.begin(self)
            search.gets[get] = None
            self._by_op[get] = search
            effects.append(DhtGet(get, place, (Condition(Field.TYPE, CERTIFICATE),), is_raw=True))
        return effects

    def _conclude(self, search: _Search, now: float) -> list[object]:
        """End a search that can find nothing more."""
        if search.gets or search.jobs:
            return []
        error = search.error or DeviceNotFoundError(_words(search.name))
        self._missing[search.name] = (now, error)
        self._missing.move_to_end(search.name)
        if len(self._missing) > MISSING_MAX:
            self._missing.popitem(last=False)
        return [*self._end(search), *(ChainMissing(op, error) for op in search.waiters)]

    def _end(self, search: _Search) -> list[object]:
        """Forget a search, and cancel what is still under way."""
        del self._searches[search.name]
        for op in search.waiters:
            self._waiters.pop(op, None)
        effects: list[object] = []
        for get in search.gets:
            del self._by_op[get]
            self._operations.end(get)
            effects.append(DhtCancel(get))
        for job in search.jobs:
            del self._by_op[job]
            self._operations.end_job(job)
        return effects

    def _remember(self, chain: DeviceChain) -> list[object]:
        """Keep a chain that holds, on disk too if it is new."""
        known = self._known.get(chain.device)
        self._known[chain.device] = chain
        self._known.move_to_end(chain.device)
        self._long_ids[chain.short_id] = chain.device
        if len(self._known) > KNOWN_MAX:
            _, forgotten = self._known.popitem(last=False)
            self._long_ids.pop(forgotten.short_id, None)
        is_new = known is None or known.certificate != chain.certificate
        return [KeepChain(chain)] if is_new else []


def check_real(
    certificate: SuiteCertificate,
    wall_now: float,
    *,
    account: AccountId | None = None,
    device: DeviceId | None = None,
) -> DeviceChain:
    """Check a chain of real certificates, as `check_device` does.

    Raises:
        ChainError: it does not hold.
    """
    assert isinstance(certificate, Certificate), "simulations bring their own check"
    return check_device(certificate, wall_now, account=account, device=device)


def _first_good(
    candidates: Iterable[bytes],
    name: DeviceName,
    wall_now: float,
    parse: ParseChain,
    check: DeviceCheck,
) -> DeviceChain | ShoalError | None:
    """Return the first chain that is of the device and holds; else what is wrong with the last."""
    error: ShoalError | None = None
    for data in candidates:
        try:
            certificate = parse(CertificateValue.unpack(data).chain)
        except (ShoalError, DecodeError):
            continue  # somebody's junk says nothing about the device
        key = certificate.public_key
        is_wanted = name.device in (None, key.long_id) and name.short_id in (None, key.id)
        if not is_wanted:
            continue
        try:
            return check(certificate, wall_now, account=name.account)
        except ShoalError as problem:
            error = problem
    return error


def _words(name: DeviceName) -> str:
    return f"no chain of device {' / '.join(each.hex() for each in name.ids)} was found"
