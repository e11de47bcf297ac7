"""A bench with a public network and homes behind routers that translate, by their RFC 4787 names.

What RFC 4787 calls mapping (which outside port stands for an inside one) and filtering (who may
answer there) is made of nftables rules. Mappings of TCP behave the same (RFC 5382).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.peers.namespaces import Bench, Namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of ARDC's test network, 44.128.0.0/16, which nobody routes. It must look public: miniupnpd and
# Jami take the ranges for documentation (RFC 5737) for private ones. It exists inside the
# namespaces only.
PUBLIC: Final = "44.128.0"
_HOME: Final = "192.168"  # .NUMBER.0/24


class Nat(enum.Enum):
    """What a router does; the names are RFC 4787's, mapping before filtering."""

    # One host has all ports of the router, as with a 1:1 or "full cone" NAT.
    ENDPOINT_INDEPENDENT = "endpoint-independent mapping and filtering"
    # Ports are kept; hosts that were sent to may answer, from any port of theirs.
    ADDRESS_DEPENDENT = "endpoint-independent mapping, address-dependent filtering"
    # Ports are kept; only who was sent to may answer: the usual home router.
    PORT_DEPENDENT = "endpoint-independent mapping, address and port-dependent filtering"
    # Each destination sees another port: "symmetric".
    SYMMETRIC = "address and port-dependent mapping and filtering"


@dataclass(frozen=True, slots=True)
class Router:
    """A router: its namespace has the public address; its interfaces are `wan` and `lan`."""

    space: Namespace
    nat: Nat
    inside: Namespace  # the same namespace by its inner address

    def block_udp(self) -> None:
        """Let no UDP through, as strict companies and hotels do."""
        self.space.firewall(
            "table inet blocked {\n chain through {\n"
            "  type filter hook forward priority filter - 1;\n"
            "  meta l4proto udp drop\n }\n}\n"
        )


class NatBench(Bench):
    """A public switch; hosts on it, and homes behind routers on it."""

    def __init__(self) -> None:
        self._inner: list[Namespace] = []
        self._routers: list[Router] = []
        super().__init__(subnet=PUBLIC)

    def add_router(self, nat: Nat, *, has_hairpin: bool = False) -> Router:
        """Add a home: a router with *nat*; *has_hairpin* as in RFC 4787 section 6."""
        outside = self.add_host(link="wan")
        number = len(self._routers) + 1
        inside = Namespace(outside.name, f"{_HOME}.{number}.1")
        outside.run("ip", "link", "add", "lan", "type", "bridge")
        outside.run("ip", "address", "add", f"{inside.host}/24", "dev", "lan")
        outside.run("ip", "link", "set", "lan", "up")
        outside.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        outside.firewall(_rules(nat, outside.host, f"{_HOME}.{number}", has_hairpin=has_hairpin))
        router = Router(outside, nat, inside)
        self._routers.append(router)
        return router

    def add_host_behind(self, router: Router) -> Namespace:
        """Add a host to a home; the first one has what only one can have."""
        subnet = router.inside.host.rpartition(".")[0]
        number = sum(host.host.startswith(f"{subnet}.") for host in self._inner) + 2
        name = f"{self._prefix}h{len(self.hosts) + len(self._inner) + 100}"
        host = self._add(name, f"{subnet}.{number}")
        self._inner.append(host)
        self._plug(host, "eth0", router.inside, "lan")
        return host

    def spaces(self) -> Sequence[Namespace]:
        """Return all namespaces of the bench."""
        return [*self._inner, *super().spaces()]


def block_udp(host: Namespace, peer: Namespace | None = None) -> None:
    """Let no UDP reach or leave *host*; with *peer*, none to and from that address alone."""
    only = ("", "") if peer is None else (f"ip saddr {peer.host} ", f"ip daddr {peer.host} ")
    host.firewall(
        "table inet blocked {\n"
        " chain incoming {\n  type filter hook input priority filter;\n"
        f'  iifname != "lo" {only[0]}meta l4proto udp drop\n }}\n'
        " chain outgoing {\n  type filter hook output priority filter;\n"
        f'  oifname != "lo" {only[1]}meta l4proto udp drop\n }}\n'
        "}\n"
    )


def _rules(nat: Nat, public: str, subnet: str, *, has_hairpin: bool) -> str:
    """Return the router's tables; the first host inside has address 2 of *subnet*."""
    first = f"{subnet}.2"
    ports = "meta l4proto { tcp, udp }"
    arriving = f"ip daddr {public}" if has_hairpin else f'iifname "wan" ip daddr {public}'
    incoming = {
        Nat.ENDPOINT_INDEPENDENT: f"  {arriving} dnat to {first}\n",
        Nat.ADDRESS_DEPENDENT: (
            f"  {arriving} {ports} ip saddr . th dport @contacted dnat to {first}\n"
        ),
    }.get(nat, "")
    outgoing = {Nat.SYMMETRIC: "masquerade fully-random"}.get(nat, f"snat to {public}")
    remembered = f'  oifname "wan" {ports} update @contacted {{ ip daddr . th sport }}\n'
    hairpin = f'  ip saddr {subnet}.0/24 oifname "lan" ct status dnat snat to {public}\n'
    return (
        "table ip nat {\n"
        " set contacted {\n  type ipv4_addr . inet_service\n  flags dynamic,timeout\n"
        "  timeout 5m\n }\n"
        f" chain arriving {{\n  type nat hook prerouting priority dstnat;\n{incoming} }}\n"
        " chain leaving {\n  type nat hook postrouting priority srcnat;\n"
        f'{hairpin if has_hairpin else ""}  oifname "wan" {outgoing}\n }}\n'
        f" chain through {{\n  type filter hook forward priority filter;\n{remembered}"
        '  iifname "wan" ct state new ct status & dnat == 0 drop\n }\n'
        # What nobody asked for gets no answer (RFC 5382, REQ-4).
        " chain own {\n  type filter hook input priority filter;\n"
        f'  iifname "wan" {ports} ct state new drop\n }}\n'
        "}\n"
    )
