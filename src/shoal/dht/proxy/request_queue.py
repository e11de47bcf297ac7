"""Requests to the proxy, so many at a time.

A client that comes back after a pause has much to say at once; a proxy counts what one client asks
at a time, and its node what one address asks per second.
"""

from __future__ import annotations

from typing import Final

from shoal.dht.proxy.effects import HttpCancel, HttpRequest

RUNNING_MAX: Final = 32  # ours: a quarter of what our server grants a client


class RequestQueue:
    """First come, first served; what waits can be cancelled."""

    def __init__(self) -> None:
        self._running: dict[int, None] = {}
        self._waiting: dict[int, HttpRequest] = {}

    def __len__(self) -> int:
        return len(self._running) + len(self._waiting)

    def submit(self, request: HttpRequest) -> list[HttpRequest]:
        """Return *request* if it is its turn; else keep it."""
        if len(self._running) >= RUNNING_MAX:
            self._waiting[request.id] = request
            return []
        self._running[request.id] = None
        return [request]

    def ended(self, request_id: int) -> list[HttpRequest]:
        """Return whose turn it is now that *request_id* has ended."""
        if request_id not in self._running:
            return []
        del self._running[request_id]
        if not self._waiting:
            return []
        following = next(iter(self._waiting))
        return self.submit(self._waiting.pop(following))

    def cancel(self, request_id: int) -> list[HttpRequest | HttpCancel]:
        """End *request_id*, whether it waits or runs."""
        if self._waiting.pop(request_id, None) is not None:
            return []
        return [HttpCancel(request_id), *self.ended(request_id)]
