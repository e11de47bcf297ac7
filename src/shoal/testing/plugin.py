"""The pytest plugin: the fixture `shoal_network`, and its transcript under tests that fail.

Loaded into every test run where Shoal is installed, so it imports nothing until it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from shoal.testing.network import LoopbackNetwork

FIXTURE = "shoal_network"


@pytest.fixture
def shoal_network(tmp_path: Path) -> Iterator[LoopbackNetwork]:
    """Give a network of people on this machine, for tests of bots."""
    from shoal.testing.network import LoopbackNetwork  # noqa: PLC0415 - most tests need none

    with LoopbackNetwork(tmp_path) as network:
        yield network


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the transcript under a test that failed."""
    report = yield
    network = getattr(item, "funcargs", {}).get(FIXTURE)
    if report.failed and network is not None:
        report.sections.append(("transcript", str(network.transcript)))
    return report
