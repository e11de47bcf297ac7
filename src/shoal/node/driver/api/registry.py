"""Methods by name: described by their signatures, called with JSON, answering in JSON."""

from __future__ import annotations

import inspect
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from shoal.node.errors import ParametersError, UnknownMethodError
from shoal.node.plain import plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from shoal.node.driver.node import Node

F = TypeVar("F", bound="Callable[..., Any]")

_KINDS: Final = {str: "text", int: "whole number", float: "number", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a method.

    Attributes:
        name: under which it is given.
        kind: what it is, in words.
        is_required: it has no default.
        default: that default.
    """

    name: str
    kind: str
    is_required: bool
    default: object = None


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the API.

    Attributes:
        name: `group.verb`.
        function: an async function, or an async generator whose last item is the result.
        summary: what it does, in a sentence.
        parameters: what it takes.
        is_stream: it reports items before its result.
        is_local: it needs no network, only what is on disk.
    """

    name: str
    function: Callable[..., Any]
    summary: str
    parameters: tuple[Parameter, ...]
    is_stream: bool
    is_local: bool


class Registry:
    """The methods there are."""

    def __init__(self) -> None:
        self._methods: dict[str, Method] = {}

    def __iter__(self) -> typing.Iterator[Method]:
        return iter(self._methods.values())

    def __getitem__(self, name: str) -> Method:
        """Return the method called *name*.

        Raises:
            UnknownMethodError: there is none.
        """
        method = self._methods.get(name)
        if method is None:
            raise UnknownMethodError(f"no method {name[:80]!r}", "UnknownMethodError")
        return method

    def method(self, name: str, *, is_local: bool = False) -> Callable[[F], F]:
        """Register an async function, or an async generator, whose first parameter is the node."""

        def register(function: F) -> F:
            assert name not in self._methods, "names differ"
            is_stream = inspect.isasyncgenfunction(function)
            summary = (inspect.getdoc(function) or "").partition("\n")[0]
            self._methods[name] = Method(
                name, function, summary, _parameters(function), is_stream, is_local
            )
            return function

        return register


METHODS: Final = Registry()


@dataclass(frozen=True, slots=True)
class Last:
    """What a streaming method yields last: its result."""

    result: object = None


async def run(node: Node, name: str, params: Mapping[str, Any]) -> AsyncIterator[tuple[str, Any]]:
    """Call a method; yield `("item", …)` any number of times, then `("result", …)`.

    Raises:
        UnknownMethodError: there is no such method.
        ParametersError: it takes no such parameters.
        ShoalError: what the method raises.
    """
    method = METHODS[name]
    arguments = _arguments(method, params)
    if not method.is_stream:
        yield "result", plain(await method.function(node, **arguments))
        return
    result: object = None
    stream = method.function(node, **arguments)
    try:
        async for item in stream:
            if isinstance(item, Last):
                result = item.result
            else:
                yield "item", plain(item)
    finally:
        await stream.aclose()
    yield "result", plain(result)


def _parameters(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    found = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        is_required = parameter.default is inspect.Parameter.empty
        default = None if is_required else parameter.default
        found.append(Parameter(parameter.name, str(parameter.annotation), is_required, default))
    return tuple(found)


def _arguments(method: Method, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a method is called with.

    Raises:
        ParametersError: something is missing, too much, or of the wrong kind.
    """
    hints = typing.get_type_hints(method.function)
    known = {each.name for each in method.parameters}
    if unknown := sorted(set(params) - known):
        raise ParametersError(f"{method.name} takes no {unknown[0][:80]!r}", "ParametersError")
    for each in method.parameters:
        if each.is_required and each.name not in params:
            raise ParametersError(f"{method.name} needs {each.name!r}", "ParametersError")
    return {name: _argument(method.name, name, hints[name], params[name]) for name in params}


def _argument(method: str, name: str, hint: object, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        hint = next(each for each in arguments if each is not type(None))
        return _argument(method, name, hint, value)
    if hint is float and type(value) is int:
        return float(value)
    assert isinstance(hint, type), "parameters are of simple types"
    if type(value) is not hint:
        raise ParametersError(f"{name} of {method} is a {_KINDS[hint]}", "ParametersError")
    return value
