"""Debian's `miniupnpd` 2.3 on a router of the bench: UPnP IGD and NAT-PMP from one program."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Self

from tests.peers.process import LoggedProcess

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.natbench import Router

_HAS_UPNP: Final = re.compile(r"HTTP listening on port")
_HAS_NATPMP: Final = re.compile(r"Listening for NAT-PMP")  # the last thing it does
_START_TIMEOUT: Final = 20.0  # seconds
# What the program fills: its own table, beside the router's.
_TABLES: Final = """
table inet filter {
 chain forward {
  type filter hook forward priority filter - 2
  jump miniupnpd
 }
 chain miniupnpd { }
 chain prerouting {
  type nat hook prerouting priority dstnat - 1
  jump prerouting_miniupnpd
 }
 chain postrouting {
  type nat hook postrouting priority srcnat - 1
  jump postrouting_miniupnpd
 }
 chain prerouting_miniupnpd { }
 chain postrouting_miniupnpd { }
}
"""
_CHAIN: Final = "prerouting_miniupnpd"
# The program writes its rules raw: nft shows the protocol as a byte of the network header.
_MAPPING: Final = re.compile(r"@nh,72,8 (0x\w+) th dport (\d+) dnat ip to ([\d.]+):(\d+)")
_PROTOCOLS: Final = {"0x6": "tcp", "0x11": "udp"}
_UPNP_PORT: Final = 5000  # of its HTTP server


class MiniupnpdProcess:
    """One daemon, for the hosts behind one router."""

    def __init__(
        self, router: Router, folder: Path, *, has_upnp: bool = True, has_natpmp: bool = True
    ) -> None:
        self.router = router
        router.space.firewall(_TABLES)
        configuration = folder / "miniupnpd.conf"
        subnet = f"{router.inside.host.rpartition('.')[0]}.0/24"
        configuration.write_text(
            "ext_ifname=wan\nlistening_ip=lan\n"
            f"port={_UPNP_PORT}\n"
            f"enable_upnp={_yes(has_upnp)}\nenable_natpmp={_yes(has_natpmp)}\n"
            "secure_mode=yes\nsystem_uptime=yes\nuuid=5a1b2c3d-0000-4000-8000-000000000001\n"
            f"allow 1024-65535 {subnet} 1024-65535\n"
            "deny 0-65535 0.0.0.0/0 0-65535\n"
        )
        command = [
            "/usr/sbin/miniupnpd", "-d", "-f", str(configuration), "-P", str(folder / "upnp.pid"),
        ]  # fmt: skip
        self.process = LoggedProcess(
            f"miniupnpd of {router.space.host}",
            ["setpriv", "--pdeathsig", "KILL", *router.space.inside(command)],
        )
        self.process.wait_for_line(_HAS_NATPMP if has_natpmp else _HAS_UPNP, _START_TIMEOUT)

    def mappings(self) -> list[tuple[str, int, str, int]]:
        """Return protocol, outside port, inside host and port of each mapping in force."""
        rules = self.router.space.run("nft", "list", "chain", "inet", "filter", _CHAIN)
        return [
            (_PROTOCOLS[number], int(outer), host, int(inner))
            for number, outer, host, inner in _MAPPING.findall(rules)
        ]

    def close(self) -> None:
        """End the daemon."""
        self.process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def _yes(wanted: bool) -> str:
    return "yes" if wanted else "no"
