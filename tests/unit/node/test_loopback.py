"""Settings of nodes that stay on this machine."""

from __future__ import annotations

from shoal.node import DhtSettings, NamesSettings, NetSettings, NodeConfig
from shoal.node.loopback import NETWORK_MAX, NO_NAME_SERVER, draw_network, loopback_settings

HOSTS = ("127.0.0.1:4001", "127.0.0.1:4002")


def test_nothing_leaves_the_machine() -> None:
    """No server, router or network of anybody else's; without a name server nobody is asked."""
    config = NodeConfig.parse(loopback_settings(HOSTS, 77))
    assert config == NodeConfig(
        dht=DhtSettings(bootstrap=HOSTS, network=77, bind=("127.0.0.1",)),
        net=NetSettings(turn=(), upnp=False, loopback=True, ipv6=False),
        names=NamesSettings(server=NO_NAME_SERVER, ask_own=False),
    )


def test_a_name_server_of_its_own() -> None:
    """It is asked, for the own name too."""
    config = NodeConfig.parse(loopback_settings((), 1, "http://127.0.0.1:8080"))
    assert config.names == NamesSettings(server="http://127.0.0.1:8080")


def test_the_network_is_never_the_public_one() -> None:
    """Whatever is drawn fits the wire, and is not 0."""
    assert all(0 < draw_network() <= NETWORK_MAX for _ in range(100))
