"""Which notifications a proxy server can send, and how many it has ordered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shoal.core import DecodeError
from shoal.dht.proxy.push import Platform, PushTarget, gorush_push, unified_push

if TYPE_CHECKING:
    from shoal.dht.proxy.config import ProxyServerConfig
    from shoal.dht.proxy.effects import SendPush
    from shoal.dht.proxy.push import Payload, Seal


class Pusher:
    """Makes notifications.

    Attributes:
        unsendable: notifications without a gateway, or with a damaged Web Push key.
    """

    def __init__(self, config: ProxyServerConfig, seal: Seal) -> None:
        self.unsendable = 0
        self._config = config
        self._seal = seal
        self._ordered: dict[tuple[Platform, bool], int] = {}

    def addressed(self, target: PushTarget) -> PushTarget:
        """Return *target* with our application as topic if it names none."""
        return target if target.topic else replace(target, topic=self._config.bundle_id)

    def push(
        self, target: PushTarget, payload: Payload, wall_now: float, *, is_high: bool = False
    ) -> list[SendPush]:
        """Return the order to notify *target*, or nothing if there is no way."""
        order = self._order(target, payload, wall_now, is_high=is_high)
        if order is None:
            self.unsendable += 1
            return []
        count = (target.platform, is_high)
        self._ordered[count] = self._ordered.get(count, 0) + 1
        return [order]

    def counts(self, platform: Platform) -> dict[str, int]:
        """Return how many notifications were ordered, as `/node/stats` tells it."""
        return {
            "highPriorityCount": self._ordered.get((platform, True), 0),
            "normalPriorityCount": self._ordered.get((platform, False), 0),
        }

    def _order(
        self, target: PushTarget, payload: Payload, wall_now: float, *, is_high: bool
    ) -> SendPush | None:
        if target.platform is Platform.UNIFIED_PUSH:
            if not self._config.is_unified_push:
                return None
            try:
                return unified_push(target, payload, is_high=is_high, seal=self._seal)
            except DecodeError:
                return None
        if self._config.push_gateway is None:
            return None
        return gorush_push(target, payload, is_high=is_high, wall_now=wall_now)
