"""Settings of name servers and of those who ask them."""

from __future__ import annotations

from dataclasses import field

from shoal.core.records import dataclass


@dataclass(frozen=True, slots=True)
class NameServerLimits:
    """What a name server grants. Clients are IPv4 addresses, or /64 of IPv6.

    Attributes:
        lookups_per_second: of one client, in the long run.
        lookups_burst: what it may ask at once after a pause.
        registrations_per_hour: of one client, in the long run; repeating one that is done or under
            way does not count.
        registrations_burst: what it may register at once after a pause.
        registrations_per_hour_total: of all clients: it bounds what the server pays in fees.
        connections: of all clients.
        connections_per_client: of one.
        clients: whose rates are remembered; beyond it the longest unseen are forgotten.
        pending: registrations kept while they wait for the chain.
    """

    lookups_per_second: float = 50.0
    lookups_burst: int = 500
    registrations_per_hour: float = 12.0
    registrations_burst: int = 12
    registrations_per_hour_total: float = 3600.0
    connections: int = 4096
    connections_per_client: int = 256
    clients: int = 65_536
    pending: int = 4096


@dataclass(frozen=True, slots=True)
class NameServerConfig:
    """How a name server behaves.

    Attributes:
        host: address to listen on; `::` takes both families.
        port: TCP port; 0 takes any.
        is_read_only: a mirror: it serves what the chain says and registers nothing.
        answer_patience: seconds that a registration waits for the chain before the client is told
            to ask again; the work goes on.
        trusted_proxies: addresses of web servers whose `X-Forwarded-For` says who the client is.
        limits: what strangers may do.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    is_read_only: bool = False
    answer_patience: float = 20.0
    trusted_proxies: tuple[str, ...] = ()
    limits: NameServerLimits = field(default_factory=NameServerLimits)


@dataclass(frozen=True, slots=True)
class NameClientConfig:
    """How names are looked up.

    Attributes:
        server: the name server of an account, as in its setting `RingNS.uri`.
        allow_unsigned: believe records that carry no signature, as Jami does.
        timeout: seconds for a lookup.
        registration_timeout: seconds for a registration.
        found_life: seconds for which a record that was checked is not asked for again. Names never
            change hands, so what goes stale is only the server's word.
        missing_life: seconds for which "not found" is believed.
        stale_life: seconds after which a record is forgotten; until then it serves when the server
            gives no answer.
        cache_size: records kept; beyond it the longest unused are forgotten.
    """

    server: str = "https://ns.jami.net"
    allow_unsigned: bool = False
    timeout: float = 15.0
    registration_timeout: float = 60.0
    found_life: float = 24 * 3600.0
    missing_life: float = 30.0
    stale_life: float = 30 * 24 * 3600.0
    cache_size: int = 4096
