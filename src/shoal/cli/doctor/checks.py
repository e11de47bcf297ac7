"""What is looked at: each check is a coroutine that returns a finding, and never raises."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import http.client
import ipaddress
import os
import shutil
import socket
import tempfile
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

from shoal.cli.common import counted, explain, hosts_of
from shoal.cli.doctor import nat
from shoal.cli.doctor.findings import Finding, Verdict
from shoal.core import Address, ShoalError
from shoal.dht import DhtNode
from shoal.net.ice import CandidateType, IceConfig, Scope
from shoal.net.ice.driver import IceDriver, local_addresses
from shoal.net.mapping.driver import PortMapper
from shoal.node.driver.assembly import ice_config

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shoal.net.ice import TurnServer
    from shoal.node import NodeConfig

STEP: Final = 20.0  # seconds for one check, ours: a slow join of the public network
SHORT: Final = 8.0  # seconds for what is one question and one answer, ours
SPACE_MIN: Final = 256 * 2**20  # bytes, ours: some years of conversations, or a few files
SPACE_LEAST: Final = 16 * 2**20  # bytes, ours: below it nothing can be kept
CLOCK_OFF: Final = 60.0  # seconds, ours: messages seem to be out of order
CLOCK_WRONG: Final = 3_600.0  # seconds, ours: values expire, and fresh certificates do not hold yet
NOBODY: Final = "shoal-doctor-asks-for-nobody"  # a name that nobody has
LOOPBACK: Final = "127.0.0.1"
NAMES_FIX: Final = "look whether it is online, and at its DNS"
UDP_FIX: Final = "let the firewall pass UDP"


class Doctor:
    """Looks at one node's surroundings, by its settings.

    The checks of the DHT share two nodes, opened here; they are guests, and keep nothing.
    """

    def __init__(self, config: NodeConfig, home: Path) -> None:
        self.config = config
        self.home = home
        self._own = [Address(ip, 0).host for ip in local_addresses()]
        if config.net.loopback:
            self._own.append(LOOPBACK)

    async def udp(self) -> Finding:
        """Whether datagrams can be sent and received at all."""
        loop = asyncio.get_running_loop()
        try:
            with _socket(socket.AF_INET) as one, _socket(socket.AF_INET) as other:
                one.bind((LOOPBACK, 0))
                other.bind((LOOPBACK, 0))
                await loop.sock_sendto(one, b"shoal", other.getsockname())
                async with asyncio.timeout(SHORT):
                    await loop.sock_recvfrom(other, 16)
            hosts = self._hosts()
            for host, port in hosts:
                with _socket(socket.AF_INET) as sock, contextlib.suppress(socket.gaierror):
                    place = await loop.getaddrinfo(host, port, family=socket.AF_INET)
                    sock.connect(place[0][4])
                    break
            else:
                if hosts:
                    text = f"no host to join by is known to this machine: {hosts[0][0]}"
                    return Finding("UDP", Verdict.FAILED, text, NAMES_FIX)
        except (OSError, TimeoutError) as error:
            return Finding("UDP", Verdict.FAILED, reason_of(error), UDP_FIX)
        return Finding("UDP", Verdict.OK, "datagrams can be sent")

    async def ipv6(self) -> Finding:
        """Whether there is an address of the other family."""
        if not self.config.net.ipv6:
            return Finding("IPv6", Verdict.SKIPPED, "switched off: [net] ipv6 in config.toml")
        own = [each for each in self._own if ":" in each]
        public = [each for each in own if ipaddress.ip_address(each).is_global]
        if public:
            return Finding("IPv6", Verdict.OK, f"there is a public address, {public[0]}")
        text = "no public address" if own else "no address"
        return Finding(
            "IPv6",
            Verdict.WARNING,
            f"{text}: IPv4 alone works, but routers are in the way more often",
            "ask your provider for it",
        )

    async def nat(self) -> Finding:
        """What kind of router is in the way."""
        ice = ice_config(self.config.net)
        servers = [(each.host, each.port) for each in ice.stun]
        servers += [(each.host, each.port) for each in ice.turn]
        if not servers:
            text = "neither [net] stun nor [net] turn names a server that could tell"
            return Finding(nat.NAME, Verdict.SKIPPED, text)
        port, seen = await nat.ask(servers)
        return nat.judge(port, seen, self._own)

    async def mapping(self) -> Finding:
        """Whether the router forwards ports on demand."""
        name = "port mapping"
        if not self.config.net.upnp:
            return Finding(name, Verdict.SKIPPED, "switched off: [net] upnp in config.toml")
        own = next((ip for ip in local_addresses() if len(ip) == 4), None)  # noqa: PLR2004 - IPv4
        if own is None:
            return Finding(name, Verdict.SKIPPED, "no IPv4 address that a port could lead to")
        try:
            async with asyncio.timeout(SHORT), PortMapper() as mapper:
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                    sock.bind(("", 0))
                    local = Address(own, sock.getsockname()[1])
                    external, lease = await mapper.request(local, is_tcp=True)
                    lease.release()
        except (ShoalError, OSError, TimeoutError) as error:
            return Finding(
                name,
                Verdict.WARNING,
                reason_of(error, "no router answers"),
                "switch UPnP or NAT-PMP on in the router, if there is one",
            )
        return Finding(name, Verdict.OK, f"the router forwards ports of {external.host}")

    async def dht(self) -> list[Finding]:
        """Whether the DHT answers us, and whether others reach us there."""
        settings = self.config.dht
        if settings.proxy:
            text = f"through the proxy {settings.proxy}"
            return [Finding(name, Verdict.SKIPPED, text) for name in ("DHT out", "DHT in")]
        hosts = self._hosts()
        if not hosts:
            text = "no host to join by"
            fix = "name one: [dht] bootstrap in config.toml"
            verdict = Verdict.SKIPPED if settings.alone else Verdict.FAILED
            return [Finding(name, verdict, text, fix) for name in ("DHT out", "DHT in")]
        bind = settings.bind or ("0.0.0.0",)  # noqa: S104 - any interface
        try:
            node = DhtNode(bootstrap=hosts, network=settings.network, bind=bind)
            async with node, DhtNode(network=settings.network, bind=bind) as stranger:
                out = await self._dht_out(node)
                return [out, await self._dht_in(node, stranger, out)]
        except (ShoalError, OSError) as error:
            return [Finding("DHT out", Verdict.FAILED, reason_of(error), UDP_FIX)]

    async def clock(self) -> Finding:
        """Whether the clock is that of others: the name server tells the time with each answer."""
        url = await self._name_server()
        if not url:
            return Finding("clock", Verdict.SKIPPED, "nobody to compare it with")
        began = time.time()
        try:
            stamp = await asyncio.to_thread(_date_of, url)
        except (OSError, ValueError, http.client.HTTPException) as error:
            return Finding("clock", Verdict.SKIPPED, f"nobody tells the time: {reason_of(error)}")
        off = (began + time.time()) / 2 - stamp
        if abs(off) <= CLOCK_OFF:
            return Finding("clock", Verdict.OK, "as that of the name server, to the minute")
        verdict = Verdict.FAILED if abs(off) > CLOCK_WRONG else Verdict.WARNING
        way = "ahead" if off > 0 else "behind"
        text = f"{abs(off):,.0f} seconds {way} of the name server's"
        return Finding("clock", verdict, text, "set it: timedatectl set-ntp true")

    async def turn(self) -> list[Finding]:
        """Whether each TURN server relays for us."""
        servers = ice_config(self.config.net).turn
        if not servers:
            text = "no server: behind some routers there is no path then"
            fix = "name one: [net] turn in config.toml"
            verdict = Verdict.SKIPPED if self.config.net.loopback else Verdict.WARNING
            return [Finding("TURN", verdict, text, fix)]
        return list(await asyncio.gather(*(self._turn(server) for server in servers)))

    async def names(self) -> Finding:
        """Whether the name server answers."""
        name = "name server"
        url = await self._name_server()
        try:
            from shoal.names import NameClient, NameClientConfig  # noqa: PLC0415 - optional
        except ModuleNotFoundError as error:
            text = f"names take {error.name}"
            return Finding(name, Verdict.WARNING, text, "pip install 'shoal[names]'")
        from shoal.names.errors import NameNotFoundError  # noqa: PLC0415 - optional

        try:
            async with asyncio.timeout(STEP), NameClient(NameClientConfig(server=url)) as client:
                await client.lookup(NOBODY)
        except NameNotFoundError:
            return Finding(name, Verdict.OK, f"{url} answers")
        except (ShoalError, OSError, TimeoutError) as error:
            fix = "ids work without; or name another one: [names] server in config.toml"
            reason = reason_of(error)
            text = reason if reason.startswith(url) else f"{url}: {reason}"
            return Finding(name, Verdict.FAILED, text, fix)
        return Finding(name, Verdict.WARNING, f"{url} knows somebody whom nobody is")

    async def disk(self) -> Finding:
        """Whether the home can be written, and has room."""
        return await asyncio.to_thread(_disk, self.home)

    # Inside

    def _hosts(self) -> Sequence[tuple[str, int]]:
        return hosts_of(self.config.dht.bootstrap, self.config.dht.network)

    async def _name_server(self) -> str:
        from shoal.node.driver.names import SharedNames  # noqa: PLC0415 - knows the defaults

        return SharedNames(self.config.names).server

    async def _dht_out(self, node: DhtNode) -> Finding:
        try:
            await node.wait_connected(STEP)
        except (ShoalError, TimeoutError):
            return Finding(
                "DHT out", Verdict.FAILED, f"nobody answers within {STEP:.0f} seconds", UDP_FIX
            )
        good = sum(each.good for each in node.stats().families.values())
        return Finding("DHT out", Verdict.OK, f"{counted(good, 'node')} answer")

    async def _dht_in(self, node: DhtNode, stranger: DhtNode, out: Finding) -> Finding:
        """Let a node that ours has never written to ask it, at the address that others see."""
        name = "DHT in"
        if out.verdict is not Verdict.OK:
            return Finding(name, Verdict.SKIPPED, "nothing goes out")
        for seen in node.public_addresses:
            place = f"[{seen.host}]" if ":" in seen.host else seen.host
            with contextlib.suppress(ShoalError, TimeoutError):
                await stranger.ping(f"{place}:{node.port}", timeout=SHORT)
                return Finding(name, Verdict.OK, f"who we never wrote to reaches {place}")
        seen_as = ", ".join(each.host for each in node.public_addresses) or "no address"
        return Finding(
            name,
            Verdict.WARNING,
            f"seen as {seen_as}, and not reached there by a stranger on this machine;"
            " where the router does not lead back inside, that proves nothing",
            "to be of more use to others, have the router forward the UDP port of [dht] port",
        )

    async def _turn(self, server: TurnServer) -> Finding:
        config = IceConfig(scope=Scope.RELAY_ONLY, turn=(server,), maps_ports=False)
        name = "TURN"
        hosts = [Address.parse(LOOPBACK, 0).ip] if self.config.net.loopback else None
        try:
            async with asyncio.timeout(STEP), IceDriver(config, is_controlling=True) as ice:
                found = await ice.gather(hosts=hosts)
        except (ShoalError, OSError, TimeoutError) as error:
            found, why = None, reason_of(error)
        else:
            why = "it gives no address"
        candidates = () if found is None else found.candidates
        relayed = [each for each in candidates if each.type is CandidateType.RELAY]
        if relayed:
            return Finding(name, Verdict.OK, f"{server.host} relays as {relayed[0].addr.host}")
        fix = "look at its name, user and password: [net] turn in config.toml"
        return Finding(name, Verdict.WARNING, f"{server.host}: {why}", fix)


def _socket(family: socket.AddressFamily) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock


def _disk(home: Path) -> Finding:
    """Look at the home's disk; where there is no home yet, at where it would be."""
    place = home
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"shoal")
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(place).free
    except OSError as error:
        fix = "look at its owner and its space, or set SHOAL_HOME"
        return Finding("disk", Verdict.FAILED, f"{place}: {error.strerror}", fix)
    text = f"{place} can be written, {free / 2**30:,.1f} GiB free"
    if free >= SPACE_MIN:
        return Finding("disk", Verdict.OK, text)
    verdict = Verdict.FAILED if free < SPACE_LEAST else Verdict.WARNING
    return Finding("disk", verdict, text, "make room")


def _date_of(url: str) -> float:
    """Return what time a web server has.

    Raises:
        OSError: it does not answer.
        HTTPException: it does not speak HTTP.
        ValueError: it does not tell.
    """
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - of the settings
    try:
        with urllib.request.urlopen(request, timeout=SHORT) as answer:  # noqa: S310 - the same
            text = answer.headers.get("Date")
    except urllib.error.HTTPError as error:  # an answer all the same
        with error:
            text = error.headers.get("Date")
    if not text:
        raise ValueError("no Date in its answer")
    return email.utils.parsedate_to_datetime(text).timestamp()


def reason_of(error: BaseException, instead: str = "") -> str:
    """Return an error on one line."""
    if isinstance(error, ShoalError):
        text = explain(error).partition("\n")[0]
        return text[:1].lower() + text[1:] if text[1:2].islower() else text
    if isinstance(error, TimeoutError):
        return instead or "no answer in time"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        error = error.reason  # its own text is that of an object
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
