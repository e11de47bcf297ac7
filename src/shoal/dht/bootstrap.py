"""Finding the first node: hosts that are pinged while nobody is known (reference 3.11)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from shoal.core.deadlines import Alarm
from shoal.dht.effects import ResolveHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shoal.core import Address
    from shoal.dht.context import Context

FIRST_WAIT: Final = 10.0  # OpenDHT dht.cpp: BOOTSTRAP_PERIOD
WAIT_MAX: Final = 24 * 3600.0  # OpenDHT dht.cpp: BOOTSTRAP_PERIOD_MAX


class Bootstrap:
    """Asks the hosts again and again, ever more rarely, until some family is connected."""

    is_over = False  # it always wants to be woken

    def __init__(self, context: Context, ping: Callable[[Address, float], None]) -> None:
        self.hosts: dict[tuple[str, int], None] = {}
        self._context = context
        self._ping = ping
        self._resolving: dict[tuple[str, int], None] = {}
        self._wait = FIRST_WAIT
        self._next = inf
        self._alarm = Alarm(context.wakeups, self)

    @property
    def is_resolving(self) -> bool:
        """Whether the address of a host is awaited."""
        return bool(self._resolving)

    def add(self, hosts: Iterable[tuple[str, int]], now: float) -> None:
        """Know more (host, port) pairs, and try them all."""
        self.hosts.update(dict.fromkeys(hosts))
        self.start(now)

    def start(self, now: float) -> None:
        """Ask all hosts now, and again ten seconds later unless connected by then."""
        self._wait = FIRST_WAIT
        self._ask(now)

    def stop(self) -> None:
        """Connected: no more questions."""
        self._next = inf

    def clear(self) -> None:
        """Know no hosts any more; what is being resolved does not matter either."""
        self.hosts.clear()
        self._resolving.clear()
        self.stop()

    def is_stopped(self) -> bool:
        """Whether nothing is going to be asked."""
        return self._next == inf

    def wake(self, now: float) -> None:
        """Ask all hosts again, if it is time."""
        if not self._alarm.rings(now) or self._next == inf:
            return
        if now < self._next:
            self._alarm.set(self._next)
        else:
            self._ask(now)

    def _ask(self, now: float) -> None:
        for host, port in self.hosts:
            self._resolving[host, port] = None
            self._context.out.append(ResolveHost(host, port))
        self._next = now + self._wait
        self._wait = min(2 * self._wait, WAIT_MAX)
        self._alarm.set(self._next)

    def resolved(self, host: str, port: int, addrs: list[Address], now: float) -> None:
        """Ping what the name stands for."""
        if (host, port) in self._resolving:
            del self._resolving[host, port]
            for addr in addrs:
                self._ping(addr, now)
