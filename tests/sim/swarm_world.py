"""People with devices in virtual time: the production engine of conversations, whole.

Channels between devices are streams of packets with a delay each, in order. A device that crashes
loses all but what it was told was on disk: its repositories up to the last head, and its records.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

from shoal.core import ConversationId, Persist
from shoal.identity import Forget
from shoal.sim.entropy import SeededEntropy
from shoal.swarm import MemoryStore
from shoal.swarm.book import INFOS_NAME, REQUESTS_NAME
from shoal.swarm.effects import (
    CloseChannel,
    Done,
    Failed,
    FindDevices,
    OpenChannel,
    StreamChannel,
    Watch,
    Work,
    WriteChannel,
)
from shoal.swarm.engine import SwarmEngine
from shoal.swarm.errors import SwarmFaultError
from shoal.swarm.marks import unpack_marks
from shoal.swarm.preferences import unpack_preferences
from shoal.swarm.records import unpack_infos, unpack_requests
from shoal.swarm.states import STATES_FOLDER, STATUS_FILE, StoredState
from tests.unit.swarm.people import WALL_NOW, who

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.core import AccountId, CommitId, DeviceId
    from shoal.swarm.effects import Effect
    from shoal.swarm.store import ObjectKind


class Crash(BaseException):
    """The power went, in the middle of a job. No `except Exception` of ours may hold it up."""


class DurableStore(MemoryStore):
    """A repository whose objects surely survive a crash only once the head has moved."""

    def __init__(self, write: Callable[[], None]) -> None:
        """Call *write* before and after each write to the disk; it may raise `Crash`."""
        super().__init__()
        self.kept_objects: dict[bytes, tuple[ObjectKind, bytes]] = {}
        self._write = write

    def set_head(self, commit: CommitId) -> None:
        """Keep everything."""
        self._write()
        self.kept_objects.update(self.objects)
        super().set_head(commit)
        self._write()

    def keep(self, commit: CommitId) -> None:
        """Keep a tip of before."""
        self._write()
        super().keep(commit)
        self._write()

    def release(self, commit: CommitId) -> None:
        """Keep it no longer."""
        self._write()
        super().release(commit)
        self._write()

    def lose(self, object_id: bytes) -> None:
        """Lose an object, as a bad disk does."""
        self.objects.pop(object_id)
        self.kept_objects.pop(object_id)

    def crash(self, *, loses_all: bool) -> None:
        """Lose what was not on disk for sure; objects may have got there before their head."""
        if loses_all:
            self.objects = dict(self.kept_objects)
        else:
            self.kept_objects = dict(self.objects)


@dataclass(eq=False)
class Device:
    """One device: what runs, and what is on its disk."""

    name: str
    number: int
    entropy_count: int = 0
    engine: SwarmEngine | None = None
    kind: type[SwarmEngine] = SwarmEngine
    stores: dict[ConversationId, DurableStore] = field(default_factory=dict)
    records: dict[str, bytes] = field(default_factory=dict)
    watched: frozenset[object] = frozenset()
    events: list[Effect] = field(default_factory=list)
    group: int = 0
    wake: float = float("inf")
    jobs: int = 0  # that its engine had done
    life: int = 0  # how often it was started: what was under way before is void

    @cached_property
    def id(self) -> DeviceId:
        """Its id."""
        return who(self.name, self.number).device_id

    @cached_property
    def account(self) -> AccountId:
        """Its account."""
        return who(self.name).account

    @property
    def is_online(self) -> bool:
        """Whether it runs."""
        return self.engine is not None

    def erase(self, conversation: ConversationId) -> None:
        """Delete a repository."""
        self.stores.pop(conversation, None)


def stored_states(records: dict[str, bytes]) -> dict[ConversationId, StoredState]:
    """Read what is on a disk of the states of conversations."""
    found: dict[ConversationId, StoredState] = {}
    for name, data in records.items():
        folder, _, rest = name.partition("/")
        if folder == STATES_FOLDER:
            identifier, _, file = rest.partition("/")
            state = found.setdefault(ConversationId.from_hex(identifier), StoredState())
            if file == STATUS_FILE:
                state.marks = unpack_marks(data)
            else:
                state.preferences = unpack_preferences(data)
    return found


@dataclass(eq=False)
class Pipe:
    """One channel: its two ends, and when the last packet of each direction arrives."""

    ends: tuple[Device, Device]
    name: str
    lives: tuple[int, int]
    arrivals: list[float] = field(default_factory=lambda: [0.0, 0.0])
    is_open: bool = True


class SwarmWorld:
    """Devices, the channels between them, and the clock."""

    def __init__(self, seed: int, *, declines: Callable[[Device, str], bool] | None = None) -> None:
        self.now = 0.0
        self.devices: dict[DeviceId, Device] = {}
        self.pipes: dict[int, Pipe] = {}
        self.crashes: Callable[[Device], bool] | None = None  # asked at each write to a disk
        self._chance = random.Random(seed)  # noqa: S311 - seeded chance is the point
        self._seed = seed
        self._declines = declines or (lambda device, name: False)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count(1)
        self._ops = itertools.count(1_000_000)
        self._answers: dict[int, Done | Failed] = {}

    # --- People -------------------------------------------------------------------------------

    def add(self, name: str, number: int = 0, kind: type[SwarmEngine] = SwarmEngine) -> Device:
        """Start a device of *name*."""
        device = Device(name, number, kind=kind)
        self.devices[device.id] = device
        self.start(device)
        return device

    def start(self, device: Device) -> None:
        """Start a device with what is on its disk."""
        device.life += 1
        device.entropy_count += 1
        entropy = SeededEntropy(self._seed, device.name, device.number, device.entropy_count)
        device.engine = device.kind(
            who(device.name, device.number),
            entropy,
            partial(self._open_store, device),
            wall_offset=WALL_NOW,
            infos=unpack_infos(device.records.get(INFOS_NAME, b"\x80")),
            requests=unpack_requests(device.records.get(REQUESTS_NAME, b"\x80")),
            stored=stored_states(device.records),
            erase_store=device.erase,
        )
        device.watched = frozenset()
        self.apply(device, device.engine.start(self.now))
        self._tell_presence()

    def stop(self, device: Device) -> None:
        """Let a device vanish, as in a crash."""
        device.engine = None
        device.wake = float("inf")
        for store in device.stores.values():
            store.crash(loses_all=self._chance.random() < 0.5)
        for number, pipe in list(self.pipes.items()):
            if device in pipe.ends:
                other = pipe.ends[1 - pipe.ends.index(device)]
                self._later(0.5, partial(self._break, number, other))
        self._tell_presence()

    def partition(self, *groups: Sequence[Device]) -> None:
        """Cut the channels between groups, and let none be opened, until `heal`."""
        for number, group in enumerate(groups, start=1):
            for device in group:
                device.group = number
        for number, pipe in list(self.pipes.items()):
            if pipe.ends[0].group != pipe.ends[1].group:
                for end in pipe.ends:
                    self._later(0.5, partial(self._break, number, end))
        self._tell_presence()

    def heal(self) -> None:
        """Join the groups again."""
        for device in self.devices.values():
            device.group = 0
        self._tell_presence()

    # --- Time ---------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self._heap and self._heap[0][0] <= until:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = until

    def ask(
        self, device: Device, command: Callable[[SwarmEngine, int, float], list[Effect]]
    ) -> object:
        """Give a command and let time pass until it has ended; return what it gives.

        Raises:
            KeyError: the device crashed before the command ended.
            SwarmError: it failed.
        """
        op = next(self._ops)
        assert device.engine is not None
        life = device.life
        self.apply(device, command(device.engine, op, self.now))
        while op not in self._answers and device.is_online and device.life == life:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        answer = self._answers.pop(op)
        if isinstance(answer, Failed):
            raise answer.error
        return answer.result

    # --- Effects ------------------------------------------------------------------------------

    def apply(self, device: Device, effects: Sequence[Effect]) -> None:
        """Carry out effects, in order; a crash ends the rest of them."""
        life = device.life
        for effect in effects:
            if device.engine is None or device.life != life:
                return
            self._carry_out(device, effect)
        self._set_alarm(device)

    def _carry_out(  # noqa: C901, PLR0912 - one arm per effect
        self, device: Device, effect: Effect
    ) -> None:
        match effect:
            case Work(op, _, job):
                self._work(device, op, job)
            case OpenChannel(op, target, name):
                delay = 0.05 + 0.2 * self._chance.random()
                self._later(delay, partial(self._open, device, device.life, op, target, name))
            case WriteChannel(channel, data):
                self._write(device, channel, data)
            case StreamChannel(channel, _, pieces):
                for piece in pieces:
                    self._write(device, channel, piece)
            case CloseChannel(channel):
                self._close(device, channel)
            case FindDevices(op, account):
                devices = self._visible(device, account)
                self._after(device, 0.2, lambda engine: engine.devices_found(op, devices, self.now))
            case Watch(accounts):
                device.watched = accounts
                self._later(0.1, self._tell_presence)
            case Persist(name, data):
                if self._crashes_at(device):
                    return
                device.records[name] = data
                self._crashes_at(device)
            case Forget(name):
                device.records.pop(name, None)
            case Failed(_, SwarmFaultError() as fault):
                raise fault.__cause__ or fault
            case Done(op) | Failed(op):
                self._answers[op] = effect
            case _:
                device.events.append(effect)

    def _work(self, device: Device, op: int, job: Callable[[], object]) -> None:
        """Run a job at once; what it has done is told a little later."""
        device.jobs += 1
        try:
            result = job()
        except Crash:
            self.stop(device)
        except Exception as error:  # noqa: BLE001 - handed to the engine, as a host must
            failure = error
            self._after(device, 0.001, lambda engine: engine.work_failed(op, failure, self.now))
        else:
            self._after(device, 0.001, lambda engine: engine.worked(op, result, self.now))

    def _crashes_at(self, device: Device) -> bool:
        """Let a device crash, if it is to, at a write."""
        if self.crashes is None or not self.crashes(device):
            return False
        self.stop(device)
        return True

    def _open_store(self, device: Device, conversation: ConversationId | None) -> DurableStore:
        def write() -> None:
            if self.crashes is not None and self.crashes(device):
                raise Crash

        if conversation is not None:
            if conversation not in device.stores:
                device.stores[conversation] = DurableStore(write)
            return device.stores[conversation]
        store = DurableStore(write)
        real_set_head = store.set_head

        def set_head(commit: CommitId) -> None:
            device.stores[ConversationId(commit)] = store
            store.set_head = real_set_head  # type: ignore[method-assign]
            real_set_head(commit)

        store.set_head = set_head  # type: ignore[method-assign]
        return store

    # --- Channels -----------------------------------------------------------------------------

    def _open(self, device: Device, life: int, op: int, target: DeviceId, name: str) -> None:
        if device.engine is None or device.life != life:
            return
        other = self.devices.get(target)
        if other is None or other.engine is None or other.group != device.group:
            self.apply(device, device.engine.open_failed(op, self.now, was_declined=False))
            return
        account = device.account
        if self._declines(other, name) or not other.engine.accepts(account, device.id, name):
            self.apply(device, device.engine.open_failed(op, self.now, was_declined=True))
            return
        number = next(self._numbers)
        self.pipes[number] = Pipe((device, other), name, (device.life, other.life))
        self.apply(
            other, other.engine.channel_accepted(-number, account, device.id, name, self.now)
        )
        if device.engine is not None:
            self.apply(device, device.engine.channel_opened(op, number, self.now))

    def _write(self, device: Device, channel: int, data: bytes) -> None:
        pipe = self.pipes.get(abs(channel))
        if pipe is None or not pipe.is_open:
            return
        end = 0 if channel > 0 else 1
        arrival = max(pipe.arrivals[end], self.now + 0.01 + 0.05 * self._chance.random())
        pipe.arrivals[end] = arrival
        other = pipe.ends[1 - end]
        self._at(arrival, partial(self._deliver, abs(channel), 1 - end, other, data))

    def _deliver(self, number: int, end: int, device: Device, data: bytes) -> None:
        pipe = self.pipes.get(number)
        if pipe is None or device.engine is None or device.life != pipe.lives[end]:
            return
        if device.group != pipe.ends[1 - end].group:
            return
        channel = number if end == 0 else -number
        self.apply(device, device.engine.receive(channel, data, self.now))

    def _close(self, device: Device, channel: int) -> None:
        pipe = self.pipes.get(abs(channel))
        if pipe is None or not pipe.is_open:
            return
        pipe.is_open = False
        end = 0 if channel > 0 else 1
        arrival = max(pipe.arrivals[end], self.now + 0.01)
        self._at(arrival, partial(self._break, abs(channel), pipe.ends[1 - end]))

    def _break(self, number: int, device: Device) -> None:
        """Tell one end that the channel is gone."""
        pipe = self.pipes.get(number)
        if pipe is None:
            return
        end = pipe.ends.index(device)
        pipe.is_open = False
        if device.engine is not None and device.life == pipe.lives[end]:
            channel = number if end == 0 else -number
            self.apply(device, device.engine.channel_closed(channel, self.now))

    # --- Presence -----------------------------------------------------------------------------

    def _visible(self, device: Device, account: object) -> list[DeviceId]:
        return [
            other.id
            for other in self.devices.values()
            if other.is_online
            and other is not device
            and other.group == device.group
            and other.account == account
        ]

    def _tell_presence(self) -> None:
        for device in list(self.devices.values()):
            accounts = [*sorted(device.watched), device.account]  # type: ignore[type-var]
            for account in accounts:
                if device.engine is not None:
                    visible = self._visible(device, account)
                    self.apply(device, device.engine.presence(account, visible, self.now))  # type: ignore[arg-type]

    # --- Inside -------------------------------------------------------------------------------

    def _at(self, moment: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (moment, next(self._numbers), action))

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        self._at(self.now + delay, action)

    def _after(
        self, device: Device, delay: float, call: Callable[[SwarmEngine], list[Effect]]
    ) -> None:
        """Call the engine later, if it is still the same life of the device."""
        life = device.life

        def go() -> None:
            if device.engine is not None and device.life == life:
                self.apply(device, call(device.engine))

        self._later(delay, go)

    def _set_alarm(self, device: Device) -> None:
        if device.engine is None:
            return
        deadline = device.engine.next_deadline()
        if deadline is None or deadline >= device.wake:
            return
        device.wake = deadline

        def wake() -> None:
            if device.wake != deadline:
                return
            device.wake = float("inf")
            if device.engine is not None:
                self.apply(device, device.engine.advance(self.now))

        self._at(max(deadline, self.now), wake)
