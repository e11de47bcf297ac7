"""A public network with a DHT of Shoal nodes, where Jami and Shoal live side by side."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from tests.peers.jami import JamiAccount
from tests.peers.jamid import JamidProcess
from tests.peers.libjami import LibjamiProcess
from tests.peers.natbench import NatBench
from tests.peers.pool import SHOAL, PeerPool, address_of
from tests.peers.presence import Need, require
from tests.peers.shoal_node import ShoalHost

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.jami import JamiDaemon
    from tests.peers.namespaces import Namespace

_T = TypeVar("_T")

OLD: Final = JamidProcess.kind  # Jami 13.7 of 2023
NEW: Final = LibjamiProcess.kind  # libjami of 2026
GENERATIONS: Final = (OLD, NEW)
_KINDS: Final = {OLD: JamidProcess, NEW: LibjamiProcess}
_BOOTSTRAP_PORT: Final = 4222  # where a linking libjami looks, with the names below
_BOOTSTRAP_NAMES: Final = ("bootstrap.jami.net", "bootstrap.sfl.io")


class Town:
    """Hosts with public addresses, homes behind routers, and one DHT for all."""

    def __init__(self, folder: Path) -> None:
        require(Need.NAMESPACES, Need.NFT)
        self._folder = folder
        self._numbers = itertools.count(1)
        self._rest = contextlib.ExitStack()
        self._accounts: dict[str, JamiAccount] = {}
        self.bench = self._rest.enter_context(NatBench())
        self.pool = self._rest.enter_context(PeerPool())
        way_in = self.pool.start(
            SHOAL, network=0, namespace=self.bench.add_host(), port=_BOOTSTRAP_PORT, name="way in"
        )
        self.bootstrap = address_of(way_in)
        self.pool.start(
            SHOAL, network=0, namespace=self.bench.add_host(), bootstrap=way_in, name="second node"
        )

    def jami(self, kind: str, *, at: Namespace | None = None, **wishes: Any) -> JamiDaemon:
        """Start a daemon of a generation on a host, by default a new one."""
        require(Need(kind))
        host = at or self.bench.add_host()
        host.resolve(dict.fromkeys(_BOOTSTRAP_NAMES, self.bootstrap.partition(":")[0]))
        name = f"{kind}-{next(self._numbers)}"
        daemon: JamiDaemon = _KINDS[kind](host, self.home(name), name=name, **wishes)
        return self._rest.enter_context(daemon)

    def again(self, daemon: JamiDaemon) -> JamiDaemon:
        """Stop a daemon and start it anew, with its accounts."""
        daemon.close()
        assert daemon.namespace is not None
        name = daemon.process.name
        successor: JamiDaemon = _KINDS[daemon.kind](daemon.namespace, daemon.home, name=name)
        return self._rest.enter_context(successor)

    def account(self, kind: str) -> JamiAccount:
        """Return the account that all tests of a module share, announced.

        A daemon that died takes only the test with it that it died in.
        """
        if kind not in self._accounts:
            daemon = self.jami(kind)
            self._accounts[kind] = JamiAccount(daemon, daemon.add_account(self.bootstrap))
        account = self._accounts[kind]
        if not account.daemon.process.is_running:
            account = JamiAccount(self.again(account.daemon), account.name)
            self._accounts[kind] = account
        account.daemon.wait_announced(account.name)
        return account

    def shoal(self, *, at: Namespace | None = None, **wishes: Any) -> ShoalHost:
        """Start a node of ours on a host, by default a new one."""
        host = at or self.bench.add_host()
        home = self.home(f"shoal-{next(self._numbers)}")
        return self._rest.enter_context(
            ShoalHost(host, home, **{"bootstrap": self.bootstrap, **wishes})
        )

    def back(self, host: ShoalHost) -> ShoalHost:
        """Start a node of ours anew, which may have been closed, with its accounts."""
        host.close()
        return self._rest.enter_context(ShoalHost(host.namespace, host.home, config=host.config))

    def keep(self, thing: contextlib.AbstractContextManager[_T]) -> _T:
        """Close *thing* together with the town."""
        return self._rest.enter_context(thing)

    def home(self, name: str) -> Path:
        """Return a new folder."""
        folder = self._folder / name
        folder.mkdir()
        return folder

    def close(self) -> None:
        """End everything."""
        self._rest.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()
