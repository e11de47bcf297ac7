"""The routers of the bench translate as their names say: the tests of paths rest on that."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final

import pytest

from tests.peers.natbench import Nat, NatBench, block_udp
from tests.peers.netns import visit
from tests.peers.presence import Need, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.peers.namespaces import Namespace

    Open = Callable[[Namespace], socket.socket]

PATIENCE: Final = 20.0  # seconds for what comes
SILENCE: Final = 0.5  # seconds without anything prove that nothing comes


@pytest.fixture(scope="module")
def streets() -> Iterator[NatBench]:
    """A public network."""
    require(Need.NAMESPACES, Need.NFT)
    with NatBench() as bench:
        yield bench


@pytest.fixture(scope="module")
def strangers(streets: NatBench) -> tuple[Namespace, Namespace]:
    """Two public hosts."""
    return streets.add_host(), streets.add_host()


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens a UDP socket on a host."""
    with contextlib.ExitStack() as links:

        def at(host: Namespace) -> socket.socket:
            with visit(host):
                link = links.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            link.bind((host.host, 0))
            return link

        yield at


def hears(link: socket.socket) -> tuple[str, int] | None:
    """Return where the next datagram comes from; None for silence."""
    try:
        link.settimeout(SILENCE)
        source: tuple[str, int] = link.recvfrom(100)[1]
    except TimeoutError:
        return None
    return source


def seen(link: socket.socket, by: socket.socket) -> tuple[str, int]:
    """Send from *link* to *by*; return the address that *by* sees."""
    by.settimeout(PATIENCE)
    link.sendto(b"from inside", by.getsockname())
    address: tuple[str, int] = by.recvfrom(100)[1]
    return address


@pytest.mark.parametrize(
    ("nat", "is_mapping_independent", "other_port", "other_host"),
    [
        (Nat.ENDPOINT_INDEPENDENT, True, True, True),
        (Nat.ADDRESS_DEPENDENT, True, True, False),
        (Nat.PORT_DEPENDENT, True, False, False),
        (Nat.SYMMETRIC, False, False, False),
    ],
    ids=lambda value: value.name.lower() if isinstance(value, Nat) else "",
)
def test_mapping_and_filtering(
    opened: Open,
    streets: NatBench,
    strangers: tuple[Namespace, Namespace],
    nat: Nat,
    is_mapping_independent: bool,
    other_port: bool,
    other_host: bool,
) -> None:
    """What two strangers see of one socket, and from where they may answer."""
    router = streets.add_router(nat)
    inner = opened(streets.add_host_behind(router))
    one, two = opened(strangers[0]), opened(strangers[1])
    one_more, two_more = opened(strangers[0]), opened(strangers[1])

    outside = seen(inner, one)
    assert outside[0] == router.space.host
    one.sendto(b"answer", outside)
    assert hears(inner) == one.getsockname()
    one_more.sendto(b"from another port", outside)
    assert (hears(inner) is not None) is other_port
    two_more.sendto(b"from another host", outside)
    assert (hears(inner) is not None) is other_host

    assert (seen(inner, two) == outside) is is_mapping_independent


@pytest.mark.parametrize("has_hairpin", [True, False])
def test_hairpin(opened: Open, streets: NatBench, has_hairpin: bool) -> None:
    """Whether a neighbour reaches the public address from inside."""
    router = streets.add_router(Nat.ENDPOINT_INDEPENDENT, has_hairpin=has_hairpin)
    first = opened(streets.add_host_behind(router))
    neighbour = opened(streets.add_host_behind(router))

    neighbour.sendto(b"around", (router.space.host, first.getsockname()[1]))
    assert hears(first) == (
        (router.space.host, neighbour.getsockname()[1]) if has_hairpin else None
    )


def test_blocked_udp(
    opened: Open, streets: NatBench, strangers: tuple[Namespace, Namespace]
) -> None:
    """No UDP through a router, none to one host, none at all; TCP goes on."""
    router = streets.add_router(Nat.PORT_DEPENDENT)
    inner, outer = opened(streets.add_host_behind(router)), opened(strangers[0])
    seen(inner, outer)
    router.block_udp()
    inner.sendto(b"blocked", outer.getsockname())
    assert hears(outer) is None

    here, there, elsewhere = streets.add_host(), streets.add_host(), streets.add_host()
    block_udp(here, there)
    link, far, other = opened(here), opened(there), opened(elsewhere)
    far.sendto(b"blocked", link.getsockname())
    assert hears(link) is None
    seen(other, link)
    with visit(there):
        listener = socket.create_server((there.host, 0))
    with visit(here):
        socket.create_connection(listener.getsockname(), timeout=PATIENCE).close()
    listener.close()
