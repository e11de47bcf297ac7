"""Networks that stay on this machine: what their nodes are told, in labs and in tests of bots."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOPBACK: Final = "127.0.0.1"
NETWORK_MAX: Final = 2**32 - 1  # the wire carries 32 bits; 0 is the public network
NO_NAME_SERVER: Final = "http://127.0.0.1:9"  # RFC 863: the port of what answers nothing


def draw_network() -> int:
    """Return the id of a network that is nobody else's."""
    return 1 + secrets.randbelow(NETWORK_MAX)


def loopback_settings(bootstrap: Iterable[str], network: int, name_server: str = "") -> str:
    """Return the text of config.toml for a node of a network on this machine.

    Nothing leaves the machine: without a name server of their own, its nodes ask nobody's.
    """
    hosts = ", ".join(f'"{each}"' for each in bootstrap)
    return f"""[dht]
bootstrap = [{hosts}]
network = {network}
bind = ["{LOOPBACK}"]

[net]
turn = []
upnp = false
loopback = true
ipv6 = false

[names]
server = "{name_server or NO_NAME_SERVER}"
ask_own = {str(bool(name_server)).lower()}
"""
