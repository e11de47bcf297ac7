"""Methods by name: described by their signatures, called with JSON, answering in JSON."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any, Final, TypeVar

from shoal.core.records import dataclass
from shoal.node.errors import ParametersError, UnknownMethodError
from shoal.node.plain import plain

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

    from shoal.node.driver.node import Node

F = TypeVar("F", bound="Callable[..., Any]")

_KINDS: Final[dict[str, type]] = {"str": str, "int": int, "float": float, "bool": bool}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a method.

    Attributes:
        name: under which it is given.
        kind: `str`, `int`, `float` or `bool`, perhaps with `| None`.
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

    def __iter__(self) -> Iterator[Method]:
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
METHODS_MODULES: Final = (  # they know this one; so they are named here
    "shoal.node.driver.api.methods",
    "shoal.node.driver.api.conversations",
    "shoal.node.driver.api.history",
    "shoal.node.driver.api.files",
    "shoal.node.driver.api.names",
    "shoal.node.driver.api.network",
    "shoal.node.driver.api.states",
    "shoal.node.driver.api.news",
    "shoal.node.driver.api.talk",
    "shoal.node.driver.api.linking",
)


@dataclass(frozen=True, slots=True)
class Last:
    """What a streaming method yields last: its result."""

    result: object = None


def load() -> None:
    """Let all methods register themselves."""
    for module in METHODS_MODULES:
        importlib.import_module(module)


async def run(
    node: Node, name: str, params: Mapping[str, Any]
) -> AsyncGenerator[tuple[str, Any], None]:
    """Call a method; yield `("item", …)` any number of times, then `("result", …)`.

    Raises:
        UnknownMethodError: there is no such method.
        ParametersError: it takes no such parameters.
        ShoalError: what the method raises.
    """
    load()
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
        kind = str(parameter.annotation)
        assert kind.removesuffix(" | None") in _KINDS, f"{parameter.name} is of kind {kind}"
        found.append(Parameter(parameter.name, kind, is_required, default))
    return tuple(found)


def _arguments(method: Method, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a method is called with.

    Raises:
        ParametersError: something is missing, too much, or of the wrong kind.
    """
    known = {each.name for each in method.parameters}
    if unknown := sorted(set(params) - known):
        raise ParametersError(f"{method.name} takes no {unknown[0][:80]!r}", "ParametersError")
    for each in method.parameters:
        if each.is_required and each.name not in params:
            raise ParametersError(f"{method.name} needs {each.name!r}", "ParametersError")
    kinds = {each.name: each.kind for each in method.parameters}
    return {name: _argument(method.name, name, kinds[name], params[name]) for name in params}


def _argument(method: str, name: str, kind: str, value: Any) -> Any:
    if value is None and kind.endswith("| None"):
        return None
    wanted = _KINDS[kind.removesuffix(" | None")]
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise ParametersError(f"{name} of {method} is of kind {kind}", "ParametersError")
    return value
