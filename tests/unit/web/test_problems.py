"""Errors as HTTP has them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from docs._ext.shoal_docs import error_classes
from shoal.node.errors import TooMuchAskedError, UnknownAccountError
from shoal.web.problems import problem_of, status_of

if TYPE_CHECKING:
    from shoal.core import ShoalError


def test_a_problem_says_what_happened_and_what_to_do() -> None:
    """With the kind of error, for programs."""
    problem = problem_of(UnknownAccountError("no account 'x'"))
    assert problem == {
        "type": "urn:shoal:error:UnknownAccountError",
        "title": "Not Found",
        "status": 404,
        "detail": "no account 'x'",
        "error": "no account 'x'",
        "advice": "`shoal account list` shows those that are.",
        "data": {},
    }
    assert problem_of(TooMuchAskedError())["detail"] == "Too much is under way at once"


def test_what_is_not_ours_keeps_its_details(caplog: pytest.LogCaptureFixture) -> None:
    """The log has them, the caller does not."""
    with caplog.at_level(logging.ERROR):
        problem = problem_of(RuntimeError("secret"))
    assert problem["status"] == 500
    assert "secret" not in str(problem)
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    "error", error_classes(), ids=lambda each: f"{each.__module__}.{each.__name__}"
)
def test_every_error_of_ours_has_a_status(error: type[ShoalError]) -> None:
    """Of the caller's, the state's or the network's; ours alone where disk or files fail."""
    status = status_of(error.__new__(error))
    assert status >= 400
    assert (status == 500) <= any(
        word in error.__name__ for word in ("File", "Repository", "Store", "Internal")
    )


def test_what_ends_early_is_told_so() -> None:
    """A call that was canceled, one that took too long."""
    assert status_of(asyncio.CancelledError()) == 503
    assert status_of(TimeoutError()) == 504
