"""Hosts with addresses of their own: network namespaces joined by a bridge. Needs root."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_numbers = itertools.count(1)
_alive: list[Bench] = []
_NAMES: Final = Path("/etc/netns")
SUBNET: Final = "10.77.0"  # inside the namespaces only; nothing outside routes to it


@dataclass(frozen=True, slots=True)
class Namespace:
    """One host."""

    name: str
    host: str  # its IPv4 address

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return *command*, run on this host."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str, text: str | None = None) -> str:
        """Run a command on this host, with *text* for its input; return its output."""
        return _run(*self.inside(command), text=text)

    def resolve(self, names: Mapping[str, str]) -> None:
        """Let programs started here from now on know these host names, and no others.

        Who asks for another one is told at once that there is none, instead of waiting for it.
        """
        folder = _NAMES / self.name  # as `ip netns` has it: laid over /etc
        folder.mkdir(parents=True, exist_ok=True)
        hosts = {"localhost": "127.0.0.1", **names}
        lines = [f"{address} {name}\n" for name, address in hosts.items()]
        (folder / "hosts").write_text("".join(lines))
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # where nobody listens

    def firewall(self, rules: str) -> None:
        """Add rules to this host's nftables."""
        self.run("nft", "-f", "-", text=rules)


class Bench:
    """A switch and the hosts on it; address n of the subnet is the n-th host."""

    def __init__(self, *, has_ipv6: bool = False, subnet: str = SUBNET) -> None:
        remove_left_behind()
        self._subnet = subnet
        self._prefix = f"shoal{os.getpid()}x{next(_numbers)}"
        self._has_ipv6 = has_ipv6
        self.hosts: list[Namespace] = []
        self._switch = self._add(f"{self._prefix}s", f"{subnet}.254")
        _alive.append(self)
        self._switch.run("ip", "link", "add", "switch", "type", "bridge")
        self._switch.run("ip", "address", "add", f"{self._switch.host}/24", "dev", "switch")
        self._switch.run("ip", "link", "set", "switch", "up")

    def add_host(self, *, link: str = "eth0") -> Namespace:
        """Add a host to the switch; *link* names its interface."""
        number = len(self.hosts) + 1
        host = self._add(f"{self._prefix}h{number}", f"{self._subnet}.{number}")
        self.hosts.append(host)
        self._plug(host, link, self._switch, "switch")
        return host

    def _plug(self, host: Namespace, link: str, switch: Namespace, bridge: str) -> None:
        """Join *host* by its interface *link* to a bridge, whose owner becomes its way out."""
        port = f"p{host.host.rpartition('.')[2]}"
        _run(
            "ip", "link", "add", port, "netns", switch.name,
            "type", "veth", "peer", "name", link, "netns", host.name,
        )  # fmt: skip
        switch.run("ip", "link", "set", port, "master", bridge, "up")
        host.run("ip", "address", "add", f"{host.host}/24", "dev", link)
        host.run("ip", "link", "set", link, "up")
        host.run("ip", "route", "add", "default", "via", switch.host)

    def spaces(self) -> Sequence[Namespace]:
        """Return all namespaces of the bench."""
        return [*self.hosts, self._switch]

    def close(self) -> None:
        """End every process on the hosts and remove them."""
        if self not in _alive:
            return
        _alive.remove(self)
        for space in self.spaces():
            _remove(space.name)

    def _add(self, name: str, address: str) -> Namespace:
        _run("ip", "netns", "add", name)
        space = Namespace(name, address)
        if not self._has_ipv6:
            space.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        space.run("ip", "link", "set", "lo", "up")
        return space

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def remove_left_behind() -> None:
    """Remove the hosts of sessions that were killed before they could."""
    for line in _run("ip", "netns", "list").splitlines():
        found = re.match(r"shoal(\d+)x\d+[hrs]", line)
        if found is not None and not Path(f"/proc/{found[1]}").exists():
            _remove(line.split()[0])


def _remove(name: str) -> None:
    with contextlib.suppress(subprocess.CalledProcessError):
        for pid in _run("ip", "netns", "pids", name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        _run("ip", "netns", "delete", name)
    shutil.rmtree(_NAMES / name, ignore_errors=True)


@atexit.register
def close_all() -> None:
    """Remove what a session that ended badly left behind."""
    for bench in _alive[:]:
        bench.close()


def _run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(  # noqa: S603
        list(command),
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout
