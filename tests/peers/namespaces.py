"""Hosts with addresses of their own: network namespaces joined by a bridge. Needs root."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

_numbers = itertools.count(1)
_alive: list[Bench] = []
SUBNET: Final = "10.77.0"  # inside the namespaces only; nothing outside routes to it


@dataclass(frozen=True, slots=True)
class Namespace:
    """One host."""

    name: str
    host: str  # its IPv4 address

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return *command*, run on this host."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str) -> str:
        """Run a command on this host; return its output."""
        return _run(*self.inside(command))


class Bench:
    """A switch and the hosts on it; address n of the subnet is the n-th host."""

    def __init__(self, *, has_ipv6: bool = False) -> None:
        remove_left_behind()
        self._prefix = f"shoal{os.getpid()}x{next(_numbers)}"
        self._has_ipv6 = has_ipv6
        self.hosts: list[Namespace] = []
        self._switch = self._add(f"{self._prefix}s", f"{SUBNET}.254")
        _alive.append(self)
        self._switch.run("ip", "link", "add", "switch", "type", "bridge")
        self._switch.run("ip", "address", "add", f"{self._switch.host}/24", "dev", "switch")
        self._switch.run("ip", "link", "set", "switch", "up")

    def add_host(self) -> Namespace:
        """Add a host to the switch."""
        number = len(self.hosts) + 1
        host = self._add(f"{self._prefix}h{number}", f"{SUBNET}.{number}")
        port = f"p{number}"
        _run(
            "ip", "link", "add", port, "netns", self._switch.name,
            "type", "veth", "peer", "name", "eth0", "netns", host.name,
        )  # fmt: skip
        self._switch.run("ip", "link", "set", port, "master", "switch", "up")
        host.run("ip", "address", "add", f"{host.host}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        host.run("ip", "route", "add", "default", "via", self._switch.host)
        self.hosts.append(host)
        return host

    def close(self) -> None:
        """End every process on the hosts and remove them."""
        if self not in _alive:
            return
        _alive.remove(self)
        for space in [*self.hosts, self._switch]:
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
        found = re.match(r"shoal(\d+)x\d+[hs]", line)
        if found is not None and not Path(f"/proc/{found[1]}").exists():
            _remove(line.split()[0])


def _remove(name: str) -> None:
    with contextlib.suppress(subprocess.CalledProcessError):
        for pid in _run("ip", "netns", "pids", name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        _run("ip", "netns", "delete", name)


@atexit.register
def close_all() -> None:
    """Remove what a session that ended badly left behind."""
    for bench in _alive[:]:
        bench.close()


def _run(*command: str) -> str:
    done = subprocess.run(list(command), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout
