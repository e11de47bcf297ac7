"""A group of devices in virtual time, of which only the DRT is played: dials, channels, news."""

from __future__ import annotations

import heapq
import random
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from shoal.core import DeviceId
from shoal.sim.entropy import SeededEntropy
from shoal.swarm.drt import Dial, Drop, DrtEffect, DrtEngine, Tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class DrtWorld:
    """*count* devices that come online within a minute; each knows all or only a few others."""

    def __init__(self, count: int, seed: int, knows: int | None = None) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - seeded chance is the point
        self._seed = seed
        self.now = 0.0
        self.engines: dict[DeviceId, DrtEngine] = {}  # of those that are online
        self._links: set[tuple[DeviceId, DeviceId]] = set()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._pushed = 0
        self._wakes: dict[DeviceId, float] = {}
        devices = [DeviceId(self._chance.randbytes(32)) for _ in range(count)]
        for device in devices:
            known = devices if knows is None else self._chance.sample(devices, knows)
            self._at(60 * self._chance.random(), partial(self._join, device, known))

    def run(self, until: float) -> None:
        """Go on to the moment *until*."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = until

    def take_away(self, fraction: float) -> None:
        """Let that many devices vanish at once; the others notice within five seconds."""
        gone = self._chance.sample(list(self.engines), int(len(self.engines) * fraction))
        for device in gone:
            del self.engines[device]
        for one, other in sorted(self._links):
            if one not in self.engines and other in self.engines:
                self._later(5 * self._chance.random(), partial(self._cut, one, other))

    def degrees(self) -> list[int]:
        """How many channels each device has, sorted."""
        return sorted(len(engine.neighbours) for engine in self.engines.values())

    def hops_to_all(self) -> tuple[int, int]:
        """How many devices hear of news that everybody passes on, and after how many hops."""
        start = next(iter(self.engines))
        distance = {start: 0}
        queue = deque([start])
        while queue:
            device = queue.popleft()
            for other in self.engines[device].neighbours:
                if other in self.engines and other not in distance:
                    distance[other] = distance[device] + 1
                    queue.append(other)
        return len(distance), max(distance.values())

    # Inside

    def _at(self, moment: float, action: Callable[[], None]) -> None:
        self._pushed += 1
        heapq.heappush(self._heap, (moment, self._pushed, action))

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        self._at(self.now + delay, action)

    def _join(self, device: DeviceId, known: Sequence[DeviceId]) -> None:
        engine = DrtEngine(device, SeededEntropy(self._seed, device.hex()))
        self.engines[device] = engine
        self._apply(device, engine.know(known, self.now))

    def _apply(self, device: DeviceId, effects: Sequence[DrtEffect]) -> None:
        for effect in effects:
            match effect:
                case Dial(other):
                    delay = 0.2 + 0.4 * self._chance.random()
                    self._later(delay, partial(self._dial, device, other))
                case Tell(other, data):
                    delay = 0.02 + 0.1 * self._chance.random()
                    self._later(delay, partial(self._deliver, device, other, data))
                case Drop(other):
                    self._later(0.05, partial(self._cut, device, other))
        deadline = self.engines[device].next_deadline()
        if deadline is not None and deadline < self._wakes.get(device, float("inf")):
            self._wakes[device] = deadline
            self._at(max(deadline, self.now), partial(self._wake, device, deadline))

    def _wake(self, device: DeviceId, deadline: float) -> None:
        if self._wakes.get(device) == deadline:
            del self._wakes[device]
            if device in self.engines:
                self._apply(device, self.engines[device].advance(self.now))

    def _dial(self, one: DeviceId, other: DeviceId) -> None:
        if one not in self.engines or (one, other) in self._links:
            return
        if other not in self.engines:
            self._apply(one, self.engines[one].dial_failed(other, self.now))
            return
        self._links |= {(one, other), (other, one)}
        self._apply(one, self.engines[one].opened(other, self.now))
        self._apply(other, self.engines[other].opened(one, self.now))

    def _deliver(self, one: DeviceId, other: DeviceId, data: bytes) -> None:
        if (one, other) in self._links and other in self.engines:
            self._apply(other, self.engines[other].receive(one, data, self.now))

    def _cut(self, one: DeviceId, other: DeviceId) -> None:
        self._links -= {(one, other), (other, one)}
        if other in self.engines:
            self._apply(other, self.engines[other].closed(one, self.now))
