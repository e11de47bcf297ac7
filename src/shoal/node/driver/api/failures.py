"""Errors on their way through the API: to plain fields, and back to exceptions of their types."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from typing import TYPE_CHECKING, Any, Final

from shoal.core import ShoalError
from shoal.node.errors import ApiError
from shoal.node.plain import plain
from shoal.node.wire import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODULES: Final = (
    "shoal.core.errors",
    "shoal.crypto.errors",
    "shoal.dht.errors",
    "shoal.identity.errors",
    "shoal.names.errors",
    "shoal.net.errors",
    "shoal.net.ice.errors",
    "shoal.node.errors",
    "shoal.swarm.errors",
    "shoal.transfer.errors",
)
TIMEOUT: Final = "TimeoutError"
CANCELED: Final = "Canceled"


def failure_of(call: int, error: BaseException) -> Failure:
    """Return *error* as the API sends it; what is no error of ours keeps its details to itself."""
    match error:
        case ShoalError():
            names = {name for name in vars(error) if not name.startswith("_")}
            data = {name: plain(getattr(error, name)) for name in sorted(names)}
            kind = error.kind if isinstance(error, ApiError) and error.kind else _kind(error)
            return Failure(call, kind, str(error) or advice_of(error)[0], advice_of(error)[1], data)
        case asyncio.CancelledError():
            return Failure(call, CANCELED, "the call was canceled")
        case TimeoutError():
            return Failure(call, TIMEOUT, "no answer in time")
        case _:
            return Failure(call, "InternalError", f"{type(error).__name__}: see the node's log")


def error_of(failure: Failure) -> Exception:
    """Return the exception that *failure* tells of, of its own type where we know that."""
    if failure.kind == TIMEOUT:
        return TimeoutError(failure.message)
    kind = _error_classes().get(failure.kind)
    if kind is None:
        return ApiError(failure.message, failure.kind)
    error = kind.__new__(kind)
    Exception.__init__(error, failure.message)
    _set(error, failure.data)
    return error


def advice_of(error: Exception) -> tuple[str, str]:
    """Return what kind of error it is, and what to do about it: its docstring has both."""
    words = " ".join((inspect.getdoc(type(error)) or "").partition("\n\nAttributes:")[0].split())
    what, _, advice = words.partition(". ")
    return what, advice


def _kind(error: Exception) -> str:
    return type(error).__name__


def _set(error: Exception, data: Mapping[str, Any]) -> None:
    for name, value in data.items():
        setattr(error, name, value)


def _error_classes() -> dict[str, type[ShoalError]]:
    """Return our errors by name."""
    classes: dict[str, type[ShoalError]] = {}
    for name in _MODULES:
        module = importlib.import_module(name)
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, ShoalError):
                classes.setdefault(each.__name__, each)
    return classes
