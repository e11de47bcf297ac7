"""Whether the proxy answers, and whether the node behind it is connected.

    asked ──► connecting ──► answer with good nodes      connected, asked again in 15 min
                        ├──► answer with dubious ones    connecting, asked again in 10 s
                        ├──► answer without any          disconnected, asked again in 10 s
                        └──► none                        disconnected, asked again in 1 min

Each family is judged by its own answer; the better one counts.

Source: OpenDHT dht_proxy_client.cpp, onProxyInfos.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from shoal.core import Address, DecodeError, Family, InfoHash
from shoal.dht.effects import PublicAddressChanged, Status, StatusChanged

if TYPE_CHECKING:
    from shoal.dht.proxy.wire import NodeInfo

UP_INTERVAL: Final = 900.0  # OpenDHT dht_proxy_client.cpp, onProxyInfos: 15 minutes
DOWN_INTERVAL: Final = 60.0  # the same: 1 minute
CONNECTING_INTERVAL: Final = 10.0  # ours: the proxy is there, its node will be
QUESTION_GAP: Final = 5.0  # ours: requests that fail together are one reason to ask


class Answer(NamedTuple):
    """What an answer changes: events, and whether operations are to be taken up with the node."""

    effects: list[StatusChanged | PublicAddressChanged]
    is_new_node: bool


class Reachability:
    """What is known of the proxy."""

    def __init__(self, node_id: InfoHash | None) -> None:
        self.node_id = node_id
        self.info: NodeInfo | None = None
        self._status = dict.fromkeys(Family, Status.DISCONNECTED)
        self._public: dict[Family, Address] = {}
        self._asked: float | None = None
        self._is_lost = True
        self._has_answered = False  # since it was last asked

    @property
    def status(self) -> tuple[Status, Status]:
        """Status over IPv4 and over IPv6."""
        return self._status[Family.IPV4], self._status[Family.IPV6]

    @property
    def interval(self) -> float:
        """Seconds until the proxy is to be asked again."""
        if Status.CONNECTED in self.status:
            return UP_INTERVAL
        return CONNECTING_INTERVAL if self._has_answered else DOWN_INTERVAL

    def next_question(self, now: float) -> float:
        """When to ask after a failure: now, or a little after the last question."""
        return now if self._asked is None else max(now, self._asked + QUESTION_GAP)

    def asked(self, now: float) -> list[StatusChanged]:
        """Note that both families are being asked."""
        self._asked = now
        self._has_answered = False
        before = self.status
        for family, status in self._status.items():
            if status is Status.DISCONNECTED:
                self._status[family] = Status.CONNECTING
        return self._changed(before)

    def lost(self) -> list[StatusChanged]:
        """Note that a request found no server."""
        before = self.status
        self._is_lost = True
        self._status = dict.fromkeys(Family, Status.DISCONNECTED)
        return self._changed(before)

    def answered(self, family: Family, info: NodeInfo | None) -> Answer:
        """Take the answer over *family*; None if there was no usable one."""
        before, known = self.status, dict(self._public)
        is_new_node = False
        self._status[family] = _judge(info)
        self._public.pop(family, None)
        if info is not None:
            self._has_answered = True
            is_new_node = self._take(info)
            addr = _public_address(info)
            if addr is not None:
                self._public[addr.family] = addr
        if Status.CONNECTED not in self.status and Status.CONNECTING not in self.status:
            self._is_lost = True
        effects: list[StatusChanged | PublicAddressChanged] = [*self._changed(before)]
        if self._public != known and self._public:
            effects.append(PublicAddressChanged(tuple(self._public.values())))
        return Answer(effects, is_new_node)

    def _take(self, info: NodeInfo) -> bool:
        """Remember *info*; say whether the node is back, or another one."""
        is_new = info.node_id != self.node_id
        self.info, self.node_id = info, info.node_id
        if Status.CONNECTED not in self.status:
            return False
        is_back, self._is_lost = self._is_lost, False
        return is_new or is_back

    def _changed(self, before: tuple[Status, Status]) -> list[StatusChanged]:
        return [] if self.status == before else [StatusChanged(*self.status)]


def _judge(info: NodeInfo | None) -> Status:
    if info is None:
        return Status.DISCONNECTED
    if info.ipv4.good + info.ipv6.good:
        return Status.CONNECTED
    return Status.CONNECTING if info.ipv4.dubious + info.ipv6.dubious else Status.DISCONNECTED


def _public_address(info: NodeInfo) -> Address | None:
    """Return the address the proxy saw us under; it has no port."""
    try:
        return Address.parse(info.public_ip, 0)
    except DecodeError:
        return None
