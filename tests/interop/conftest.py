"""Every test here talks to real peers, and shows their last lines when it fails."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.peers.fixtures import add_logs, bench, ours, pool, shared_pool, theirs, town
from tests.peers.presence import Policy, policy

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["bench", "ours", "pool", "shared_pool", "theirs", "town"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder; skip it when no peers are wanted."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.interop)
            if policy() is Policy.NONE:
                item.add_marker(pytest.mark.skip(reason="SHOAL_PEERS=none"))


@pytest.fixture(scope="module", autouse=True)
def _no_long_pauses() -> None:
    """Take what earlier tests left out of every later collection of garbage.

    Nodes of ours live in this process. With gigabytes of objects around, a collection stops them
    for seconds, and peers take them for dead.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the peers' logs to failures."""
    report = yield
    add_logs(report)
    return report
