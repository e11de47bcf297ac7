"""What the parts of a proxy client share: its requests, deadlines, chance, and push address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.dht.proxy import wire
from shoal.dht.proxy.client_tasks import AskInfo, ProxyStats, Task, Timer
from shoal.dht.proxy.effects import ClientEffect, HttpRequest
from shoal.dht.proxy.push import Platform, PushTarget
from shoal.dht.proxy.request_queue import RequestQueue
from shoal.dht.proxy.timers import Timers

if TYPE_CHECKING:
    from shoal.core import Entropy, Family
    from shoal.dht.proxy.config import PushRegistration

RENEWAL: Final = 22 * 3600.0  # OpenDHT proxy.h: OP_TIMEOUT less OP_MARGIN
RENEWAL_SPREAD: Final = 600.0  # ours: renewals of what was begun together drift apart
SESSION_LENGTH: Final = 8  # OpenDHT dht_proxy_client.cpp, getRandomSessionId
_SESSION_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
_DOUBLINGS_MAX: Final = 32


class ClientContext:
    """The requests under way, and all that is needed to make one."""

    def __init__(self, push: PushRegistration | None, entropy: Entropy) -> None:
        self.stats = ProxyStats()
        self.push = push
        self.session = "".join(
            _SESSION_ALPHABET[entropy.below(len(_SESSION_ALPHABET))] for _ in range(SESSION_LENGTH)
        )
        self.timers: Timers[Timer] = Timers()
        self.tasks: dict[int, Task] = {}
        self.queue = RequestQueue()
        self._entropy = entropy
        self._last_request = 0

    def begin(
        self,
        task: Task,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        is_stream: bool = False,
        family: Family | None = None,
    ) -> tuple[int, list[ClientEffect]]:
        """Order a request for *task*, or let it wait for its turn; return its id, too."""
        self._last_request += 1
        request = HttpRequest(self._last_request, method, path, body, is_stream, family)
        self.stats.requests += 1
        self.tasks[request.id] = task
        if is_stream or isinstance(task, AskInfo):
            return request.id, [request]
        return request.id, [*self.queue.submit(request)]

    def drop(self, request: int | None) -> list[ClientEffect]:
        """End a request without another input about it; harmless if there is none."""
        if request is None or self.tasks.pop(request, None) is None:
            return []
        return [*self.queue.cancel(request)]

    def decode(self, line: bytes) -> wire.Line | None:
        """Read a line of an answer; None if it says nothing, or nonsense, which is counted."""
        try:
            return wire.decode_line(line)
        except DecodeError:
            self.stats.malformed += 1
            return None

    @property
    def target(self) -> PushTarget:
        """Where notifications are to be sent."""
        assert self.push is not None, "only a registered client names a target"
        push = self.push
        platform = Platform.named(push.platform)
        return PushTarget(push.token, push.client_id, self.session, platform, push.topic)

    def patience(self, failures: int, low: float, high: float) -> float:
        """Return a wait that doubles with each failure, jittered so that clients spread."""
        wait = low * 2.0 ** min(failures - 1, _DOUBLINGS_MAX)
        return min(high, wait) * self._entropy.uniform(0.5, 1.0)

    def renewal(self) -> float:
        """Return the wait before something that the proxy keeps for 24 hours is renewed."""
        return RENEWAL - self._entropy.uniform(0.0, RENEWAL_SPREAD)
