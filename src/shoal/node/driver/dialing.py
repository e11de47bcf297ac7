"""How devices are reached besides offer and answer, and where ours is: addresses in the DHT."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from shoal.core import Address, DecodeError
from shoal.core.records import dataclass
from shoal.dht.errors import DhtError
from shoal.net import Multiaddr, Way
from shoal.node.errors import ConfigError

if TYPE_CHECKING:
    from shoal.net import Connections, DhtAddresses
    from shoal.node.config import NetSettings

_log = logging.getLogger(__name__)

PUBLISH_INTERVAL: Final = 43_200.0  # seconds; ours: half of the day that a record counts for
PUBLISH_RETRY: Final = 60.0  # seconds; ours


@dataclass(frozen=True, slots=True)
class Dialing:
    """How devices are reached besides offer and answer, and how they reach us.

    Attributes:
        ways: of reaching others, all at once.
        listen: where direct connections are taken.
        addresses: what is published for that; the former, if there are none.
        is_local: private addresses are published, too.
    """

    ways: tuple[Way, ...] = (Way.ICE,)
    listen: Address | None = None
    addresses: tuple[Multiaddr, ...] = ()
    is_local: bool = False

    @classmethod
    def of(cls, settings: NetSettings) -> Dialing:
        """Read the settings.

        Raises:
            ConfigError: an address is none.
        """
        listen: Address | None = None
        try:
            if settings.listen:
                host, _, port = settings.listen.rpartition(":")
                listen = Address.parse(host.strip("[]"), int(port))
            addresses = tuple(Multiaddr.parse(text) for text in settings.addresses)
        except (DecodeError, ValueError) as error:
            raise ConfigError(f"config.toml: net.listen or net.addresses: {error}") from error
        return cls(
            ways=(Way.ICE, Way.DIRECT) if settings.direct else (Way.ICE,),
            listen=listen,
            addresses=addresses,
            is_local=settings.loopback,
        )


async def listen_and_publish(
    dialing: Dialing, connections: Connections, published: DhtAddresses
) -> None:
    """Take direct connections, and say where, again and again: a record counts for a day.

    The address of an account that comes second may be taken: it is then reached by offers.
    """
    assert dialing.listen is not None, "otherwise there is nothing to do"
    try:
        own = connections.listen(dialing.listen)
    except OSError as error:
        _log.warning("! cannot listen on %s: %s", dialing.listen, error.strerror)
        return
    addresses = dialing.addresses or (own,)
    while True:
        wait = PUBLISH_INTERVAL
        try:
            await published.publish(addresses, is_public=not dialing.is_local)
        except DhtError as error:
            _log.info("! our addresses are not published: %s", error)
            wait = PUBLISH_RETRY
        await asyncio.sleep(wait)
