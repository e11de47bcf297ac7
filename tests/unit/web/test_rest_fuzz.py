"""The HTTP API, fuzzed from its own description: no 500, and nothing undocumented."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
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

from shoal.web import WebConfig, WebLimits
from shoal.web.openapi import document
from tests.unit.web.conftest import make_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)
SLOW = {  # they make keys, or go on until they are canceled
    *("/v1/account.create", "/v1/account.link", "/v1/conversation.events", "/v1/node.events"),
}
DOCUMENT = document()
SCHEMA = schemathesis.openapi.from_dict(
    {**DOCUMENT, "paths": {k: v for k, v in DOCUMENT["paths"].items() if k not in SLOW}}
)
MANY = WebLimits(
    requests_per_second=1e9, requests_burst=10**9, failures_burst=10**9, call_seconds=0.5
)
# What needs the network fails without one, as the description says: 502 and 504.
FAILING = {502, 503, 504}
CHECKS: list[Any] = [
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
EFFORT = settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class SiteThread:
    """A server in a loop of its own, since the fuzzer waits for answers."""

    def __init__(self, folder: Path) -> None:
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self.url = self.token = ""
        self.real: dict[str, str] = {}
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._run(folder),)
        )
        self._thread.start()
        assert self._ready.wait(60)

    async def _run(self, folder: Path) -> None:
        async with AsyncExitStack() as stack:
            site = await make_site(stack, folder / "home", WebConfig(port=0, limits=MANY))
            self.url, self.token = site.server.url, site.token
            group = await site.node.accounts[site.account].conversations.create()
            self.real = {"account": site.account, "conversation": str(group.id)}
            self._ready.set()
            await self._stop.wait()

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteThread]:
    """A server, with Alice's account."""
    thread = SiteThread(tmp_path_factory.mktemp("web"))
    yield thread
    thread.close()


@SCHEMA.parametrize()
@EFFORT
def test_the_interface(case: schemathesis.Case[Any], site: SiteThread) -> None:
    """Whatever is asked gets an answer that the description has; also of what there is."""
    ask(case, site)
    for part in (case.query, case.body):
        if isinstance(part, dict) and case.path != "/v1/account.remove":
            part.update({name: value for name, value in site.real.items() if name in part})
    ask(case, site)


def ask(case: schemathesis.Case[Any], site: SiteThread) -> None:
    """Send a request, and check the answer."""
    response = case.call(base_url=site.url, headers={"Authorization": f"Bearer {site.token}"})

    assert response.status_code != 500
    checks = list(CHECKS)
    if response.status_code not in FAILING:
        checks.append(not_a_server_error)
    case.validate_response(response, checks=checks)
