"""The proxy server's memory: permanent puts, push subscriptions, who may hold how much.

Gets, plain puts and listen streams leave no trace here but the quota they hold meanwhile.

Source: OpenDHT dht_proxy_server.cpp; proxy.h for the times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError, Persist
from shoal.core.records import dataclass
from shoal.dht.proxy import server_state
from shoal.dht.proxy.effects import StopListen, Withdraw
from shoal.dht.proxy.permanent_puts import PermanentPuts
from shoal.dht.proxy.push import Platform, pong_payload
from shoal.dht.proxy.pusher import Pusher
from shoal.dht.proxy.quotas import Quota
from shoal.dht.proxy.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import Entropy, InfoHash
    from shoal.dht.proxy.config import ProxyServerConfig
    from shoal.dht.proxy.effects import ServerEffect
    from shoal.dht.proxy.push import PushTarget, Seal
    from shoal.dht.value import Value

SAVE_WAIT: Final = 10.0  # ours: what a crash may cost; many changes are one write
_STATE_NAME: Final = "proxy"


@dataclass(slots=True)
class ServerStats:
    """Counters of a proxy server.

    Attributes:
        requests: requests of any kind.
        refused: requests that a limit turned away.
        state_damaged: state files that could not be read, 0 or 1.
    """

    requests: int = 0
    refused: int = 0
    state_damaged: int = 0


class ProxyServerEngine:
    """Keeps what outlives a request to the proxy server."""

    def __init__(
        self,
        config: ProxyServerConfig,
        entropy: Entropy,
        now: float,
        *,
        wall_offset: float,
        seal: Seal,
        state: bytes | None = None,
    ) -> None:
        """Start with the entries of *state*, the bytes of an earlier `Persist`.

        *wall_offset* is wall clock minus monotonic clock; the driver keeps it current. *seal*
        encrypts notifications (RFC 8291).
        """
        limits = config.limits
        self.config = config
        self.wall_offset = wall_offset
        self.stats = ServerStats()
        self.streams = Quota(limits.streams_per_client, limits.streams)
        self._started = now
        self._pusher = Pusher(config, seal)
        self._puts = PermanentPuts(limits, entropy, self._pusher)
        self._subscriptions = Subscriptions(limits, self._pusher)
        self._save_at: float | None = None
        self._restored = self._restore(state, now)

    def start(self) -> list[ServerEffect]:
        """Return the orders that take up the work of the restored entries; once."""
        effects, self._restored = self._restored, []
        return effects

    # Commands.

    def put_permanent(
        self, key: InfoHash, value: Value, target: PushTarget, client: str, now: float
    ) -> tuple[Value, bool]:
        """Remember that *client* wants *value* kept at *key* for the next 24 hours.

        A value without an id that equals one of the same push target refreshes that one.

        Returns:
            The value with its id, and whether it is there already, so that nothing need be put.

        Raises:
            TooManyOperationsError: the client, or all of them, hold all they may.
        """
        self._save_soon(now)
        return self._puts.put(key, value, target, client, now)

    def has_put(self, key: InfoHash, value_id: int) -> bool:
        """Whether a permanent put of this value is kept."""
        return (key, value_id) in self._puts

    def subscribe(
        self, key: InfoHash, target: PushTarget, client: str, now: float
    ) -> tuple[bool, list[ServerEffect]]:
        """Notify *target* of the values at *key* for the next 24 hours.

        Returns:
            Whether the subscription is new, and what is to be done.

        Raises:
            TooManyOperationsError: the client, or all of them, hold all they may.
        """
        self._save_soon(now)
        return self._subscriptions.subscribe(key, target, client, now)

    def unsubscribe(self, key: InfoHash, target: PushTarget, now: float) -> list[ServerEffect]:
        """End a subscription; harmless if there is none."""
        self._save_soon(now)
        return self._subscriptions.unsubscribe(key, target)

    def ping_push(self, target: PushTarget, now: float) -> list[ServerEffect]:
        """Notify *target* that notifications reach it."""
        target = self._pusher.addressed(target)
        return [*self._pusher.push(target, pong_payload(target), self._wall(now), is_high=True)]

    # Inputs.

    def values_changed(
        self, listen_id: int, values: Sequence[Value], now: float, *, is_expired: bool
    ) -> list[ServerEffect]:
        """Notify the subscriber that `StartListen` *listen_id* was for, soon."""
        return self._subscriptions.values_changed(
            listen_id, values, now, self._wall(now), is_gone=is_expired
        )

    # Time.

    def next_deadline(self) -> float | None:
        """When `advance` next has work; None while nothing is kept."""
        parts = (
            self._puts.next_deadline(),
            self._subscriptions.next_deadline(),
            self._save_at,
        )
        return min((moment for moment in parts if moment is not None), default=None)

    def advance(self, now: float) -> list[ServerEffect]:
        """End what is over, ask for renewal of what soon will be, write what has changed."""
        wall_now = self._wall(now)
        effects = self._puts.advance(now, wall_now) + self._subscriptions.advance(now, wall_now)
        if self._save_at is not None and self._save_at <= now:
            self._save_at = None
            effects.append(self._persist())
        elif any(isinstance(effect, Withdraw | StopListen) for effect in effects):
            self._save_soon(now)
        return effects

    def close(self, now: float) -> list[ServerEffect]:
        """Return the last write."""
        self._save_at = None
        return [self._persist()]

    def _wall(self, now: float) -> float:
        return now + self.wall_offset

    # State.

    def _save_soon(self, now: float) -> None:
        if self._save_at is None:
            self._save_at = now + SAVE_WAIT

    def _persist(self) -> Persist:
        puts = self._puts.saved(self.wall_offset)
        subscriptions = self._subscriptions.saved(self.wall_offset)
        return Persist(_STATE_NAME, server_state.encode(puts, subscriptions))

    def _restore(self, state: bytes | None, now: float) -> list[ServerEffect]:
        if state is None:
            return []
        try:
            puts, subscriptions = server_state.decode(state)
        except DecodeError:
            self.stats.state_damaged += 1
            return []
        return [
            *self._puts.restore(puts, now, self.wall_offset),
            *self._subscriptions.restore(subscriptions, now, self.wall_offset),
        ]

    # Figures.

    def counts(self) -> dict[str, object]:
        """Return what `/node/stats` tells of the engine."""
        return {
            "androidPush": self._pusher.counts(Platform.ANDROID),
            "iosPush": self._pusher.counts(Platform.IOS),
            "listenCount": self.streams.used,
            "pushListenersCount": self._subscriptions.tokens,
            "putCount": self._puts.keys,
            "serverStartTime": int(self._wall(self._started)),
            "totalPermanentPuts": len(self._puts),
            "unifiedPush": self._pusher.counts(Platform.UNIFIED_PUSH),
        }

    def counters(self) -> dict[str, int]:
        """Return what grows: for metrics."""
        return {
            "requests": self.stats.requests,
            "refused": self.stats.refused,
            "pushes_unsendable": self._pusher.unsendable,
            "state_damaged": self.stats.state_damaged,
        }
