"""What takes real minutes or hours: `make soak`. Everything here is marked by its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.peers.fixtures import add_logs, bench, pool, shared_pool

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["bench", "pool", "shared_pool"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder; deselecting happens after this."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.soak)
            item.add_marker(pytest.mark.timeout(0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the peers' logs to failures."""
    report = yield
    add_logs(report)
    return report
