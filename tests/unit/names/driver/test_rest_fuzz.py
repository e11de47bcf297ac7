"""The REST interface, fuzzed from its own description: no 500, and nothing undocumented."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shoal.names import NameServer, NameServerConfig, NameServerLimits
from shoal.names.openapi import document
from tests.unit.names.fake_chain import FakeChain, reserved
from tests.unit.names.people import record_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)
SCHEMA = schemathesis.openapi.from_dict(document())
MANY = NameServerLimits(lookups_per_second=1e9, lookups_burst=10**9)
CONFORMANCE = [content_type_conformance, response_schema_conformance, status_code_conformance]
EFFORT = settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class ServerThread:
    """A server in a loop of its own, since the fuzzer waits for answers."""

    def __init__(self, folder: Path, *, is_up: bool, is_read_only: bool) -> None:
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self.url = ""
        self._wishes = folder, is_up, is_read_only
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._ready.wait(20)

    async def _run(self) -> None:
        folder, is_up, is_read_only = self._wishes
        chain = FakeChain()
        chain.mine(reserved(record_of("alice")))
        config = NameServerConfig(port=0, is_read_only=is_read_only, limits=MANY)
        registrar = None if is_read_only else chain
        async with NameServer(chain, chain.registry, folder, config, registrar=registrar) as server:
            if not is_up:
                chain.go_away()
            self.url = server.url
            self._ready.set()
            await self._stop.wait()

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module", params=["well", "read-only", "without its chain"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """Servers in three states; the state and the URL."""
    state = request.param
    thread = ServerThread(
        tmp_path_factory.mktemp("names"),
        is_up=state != "without its chain",
        is_read_only=state == "read-only",
    )
    yield state, thread.url
    thread.close()


@SCHEMA.parametrize()
@EFFORT
def test_the_interface(case: schemathesis.Case[Any], server: tuple[str, str]) -> None:
    """Whatever is asked gets an answer that the description has."""
    state, url = server
    response = case.call(base_url=url)

    assert response.status_code != 500
    checks: list[Any] = list(CONFORMANCE)
    if state == "well":
        checks.append(not_a_server_error)
    if response.status_code not in {404, 405}:  # a parameter with a slash in it is another path
        case.validate_response(response, checks=checks)
