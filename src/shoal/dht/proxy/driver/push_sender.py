"""Delivers push notifications: a queue, a few workers, and an eye on where they are sent."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import socket
from typing import TYPE_CHECKING, Final

import httpx2

from shoal.core import Address
from shoal.core.records import dataclass
from shoal.crypto.keys import PrivateKey
from shoal.crypto.webpush import SALT_LENGTH, PushSubscription, encrypt_push
from shoal.dht.proxy.driver.tasks import TaskSet

if TYPE_CHECKING:
    from shoal.dht.proxy.config import ProxyServerConfig
    from shoal.dht.proxy.effects import SendPush

_log = logging.getLogger(__name__)

WORKERS: Final = 8  # ours: notifications on their way at a time
TIMEOUT: Final = 10.0  # seconds; ours: for a gateway to connect, and for each piece of its answer
URL_MAX: Final = 2048  # ours: an endpoint's URL
GORUSH_PATH: Final = "/api/push"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(slots=True)
class PushSenderStats:
    """Counters of a push sender.

    Attributes:
        delivered: notifications that a gateway took, with a status below 300.
        failed: those that it did not take, or that found none.
        forbidden: those to an address that strangers may not make us speak to.
        dropped: those that found the queue full.
    """

    delivered: int = 0
    failed: int = 0
    forbidden: int = 0
    dropped: int = 0


class ForbiddenEndpointError(Exception):
    """This endpoint is no place for notifications."""


class PushSender:
    """POSTs notifications, some at a time; what doesn't fit in the queue is dropped."""

    def __init__(self, config: ProxyServerConfig) -> None:
        self.stats = PushSenderStats()
        self._gateway = (config.push_gateway or "").rstrip("/")
        self._is_private_allowed = config.is_private_push
        self._queue: asyncio.Queue[SendPush] = asyncio.Queue(config.limits.pushes_waiting)
        self._workers = TaskSet()
        # No proxies of the environment, no redirects: a notification goes where it is sent.
        self._client = httpx2.AsyncClient(timeout=TIMEOUT, trust_env=False, follow_redirects=False)

    def start(self) -> None:
        """Begin to deliver."""
        for _ in range(WORKERS):
            self._workers.start(self._work())

    def send(self, push: SendPush) -> None:
        """Queue a notification."""
        try:
            self._queue.put_nowait(push)
        except asyncio.QueueFull:
            self.stats.dropped += 1

    async def close(self) -> None:
        """Stop; what is still queued is lost."""
        await self._workers.close()
        await self._client.aclose()

    async def _work(self) -> None:
        while True:
            push = await self._queue.get()
            try:
                status = await self._deliver(push)
            except ForbiddenEndpointError as error:
                self.stats.forbidden += 1
                _log.debug("x notification: %s", error)
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
                self.stats.failed += 1
                _log.debug("x notification: %r", error)
            else:
                is_taken = status < httpx2.codes.MULTIPLE_CHOICES
                self.stats.delivered += is_taken
                self.stats.failed += not is_taken

    async def _deliver(self, push: SendPush) -> int:
        if push.url is None:
            return await self._post(self._gateway + GORUSH_PATH, push, {}, None)
        if self._is_private_allowed:
            return await self._post(push.url, push, {}, None)
        url = httpx2.URL(push.url)
        addr = await self._public_address(url)
        # Connecting to the address that was looked at: a name could mean another one by now.
        return await self._post(
            str(url.copy_with(host=addr)), push, {"Host": url.netloc.decode()}, url.host
        )

    async def _post(
        self, url: str, push: SendPush, headers: dict[str, str], server_name: str | None
    ) -> int:
        request = self._client.build_request(
            "POST",
            url,
            content=push.body,
            headers=dict(push.headers) | headers,
            extensions={"sni_hostname": server_name} if server_name else {},
        )
        # The answer's body doesn't matter, and could be endless.
        response = await self._client.send(request, stream=True)
        await response.aclose()
        return response.status_code

    async def _public_address(self, url: httpx2.URL) -> str:
        """Return an address of the endpoint's host.

        Raises:
            ForbiddenEndpointError: the URL isn't HTTP, or its host isn't on the public Internet.
        """
        port = url.port or _DEFAULT_PORTS.get(url.scheme)
        if port is None or not url.host or len(str(url)) > URL_MAX:
            raise ForbiddenEndpointError("not an HTTP URL")
        found = await asyncio.get_running_loop().getaddrinfo(
            url.host, port, type=socket.SOCK_STREAM
        )
        addrs = [str(entry[4][0]) for entry in found]
        if not addrs or not all(map(_is_public, addrs)):
            raise ForbiddenEndpointError("not on the public Internet")
        return addrs[0]


def _is_public(host: str) -> bool:
    """Whether an address is of the public Internet; an IPv4-mapped one is judged as IPv4."""
    addr = ipaddress.ip_address(Address.parse(host, 0).host)
    return addr.is_global and not addr.is_multicast


def seal(point: bytes, secret: bytes, payload: bytes) -> bytes:
    """Encrypt *payload* for a Web Push subscriber (RFC 8291), under a key made for it alone.

    Raises:
        InvalidPushMessageError: *point* and *secret* are no subscription.
    """
    return encrypt_push(
        payload,
        PushSubscription(point, secret),
        sender=PrivateKey.generate_ec(256),
        salt=secrets.token_bytes(SALT_LENGTH),
    )
