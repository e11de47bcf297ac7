"""Whatever can carry DHT operations has the commands of a backend."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from shoal.dht.backend import DhtCommands
from shoal.dht.engine import DhtEngine
from shoal.dht.proxy.engine import ProxyEngine
from shoal.dht.secure.engine import SecureEngine
from tests.unit.dht.fake_dht import FakeBackend

if TYPE_CHECKING:

    def _checked_by_mypy(
        node: DhtEngine, proxy: ProxyEngine, secure: SecureEngine, fake: FakeBackend
    ) -> tuple[DhtCommands, ...]:
        return node, proxy, secure, fake


COMMANDS = [name for name in vars(DhtCommands) if not name.startswith("_")]


@pytest.mark.parametrize("backend", [DhtEngine, ProxyEngine, SecureEngine, FakeBackend])
def test_every_backend_has_the_commands(backend: type) -> None:
    """Each takes what the protocol says by the names it says; it may take more, by name."""
    assert "get" in COMMANDS
    for name in COMMANDS:
        declared, offered = getattr(DhtCommands, name), getattr(backend, name)
        if isinstance(declared, property):
            assert isinstance(offered, property)
            continue
        wanted = inspect.signature(declared).parameters
        taken = inspect.signature(offered).parameters
        assert wanted.keys() <= taken.keys(), name
        for extra in taken.keys() - wanted.keys():
            assert taken[extra].default is not inspect.Parameter.empty, name
