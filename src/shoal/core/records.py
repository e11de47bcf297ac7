"""`dataclass`, as the standard library has it, with methods that are written when first used.

The standard library writes the source of six methods for each class and compiles it, which takes a
millisecond. A node has more than four hundred such classes: that was half of what its start took,
and in most runs half of the classes are never made and few are ever compared or shown. Here a class
gets its fields and slots at once, and each method by the standard library's own hand, but at the
first access: from then on it is the very function that it would have been.

To type checkers this is `dataclasses.dataclass`. Fields, `replace` and all else come from there.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from dataclasses import dataclass
    from typing import Any

__all__ = ["dataclass"]


if not TYPE_CHECKING:

    def dataclass(
        cls: type | None = None,
        /,
        *,
        frozen: bool = False,
        slots: bool = False,
        eq: bool = True,
        init: bool = True,
    ) -> Any:
        """Make a dataclass, as `dataclasses.dataclass` does."""

        def make(given: type) -> type:
            if any(dataclasses.is_dataclass(base) for base in given.__mro__[1:]):
                by_library = dataclasses.dataclass(frozen=frozen, slots=slots, eq=eq, init=init)
                return by_library(given)
            return _make(given, is_frozen=frozen, has_slots=slots, has_eq=eq, has_init=init)

        return make if cls is None else make(cls)


def _make(given: type, *, is_frozen: bool, has_slots: bool, has_eq: bool, has_init: bool) -> Any:
    own = set(given.__dict__)
    has_hash = _has_hash(given)
    if given.__doc__ is None:
        given.__doc__ = given.__name__  # else the library writes one, at some length
    fill = dataclasses.dataclass(init=False, repr=False, eq=False, slots=has_slots)
    made: Any = fill(given)
    params = made.__dataclass_params__
    params.init, params.repr, params.eq, params.frozen = has_init, True, has_eq, is_frozen
    if has_init and "__init__" not in own:
        _write_later(made, "__init__", init=True, frozen=is_frozen)
    if "__repr__" not in own:
        _write_later(made, "__repr__", repr=True)
    if has_eq and "__eq__" not in own:
        _write_later(made, "__eq__", eq=True)
    if has_eq and not has_hash:
        if is_frozen:
            _write_later(made, "__hash__", unsafe_hash=True)
        else:
            made.__hash__ = None  # so says the data model
    if is_frozen:
        _freeze(made, own, has_slots=has_slots)
    return made


def _has_hash(given: type) -> bool:
    """Whether the class says how it is hashed; the None of those with `__eq__` says nothing."""
    said = given.__dict__
    return "__hash__" in said and not (said["__hash__"] is None and "__eq__" in said)


def _write_later(made: Any, name: str, **wanted: bool) -> None:
    setattr(made, name, _Unwritten(made, name, wanted))


class _Unwritten:
    """Stands for a method that takes its own place when it is looked up."""

    __slots__ = ("_made", "_name", "_wanted")

    def __init__(self, made: Any, name: str, wanted: dict[str, bool]) -> None:
        self._made = made
        self._name = name
        self._wanted = wanted

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        method = self._write()
        setattr(self._made, self._name, method)
        return method.__get__(instance, owner)

    def _write(self) -> Any:
        """Return the method that the library writes for a class with the same fields."""
        made = self._made
        fields = made.__dataclass_fields__.values()  # those of `__init__` alone, too
        names = {
            "__module__": made.__module__,
            "__qualname__": made.__qualname__,
            "__doc__": made.__doc__,
            "__annotations__": {field.name: field.type for field in fields},
            **{field.name: field for field in fields},
        }
        if hasattr(made, "__post_init__"):
            names["__post_init__"] = made.__post_init__
        twin = type(made.__name__, (), names)
        asked = {"init": False, "repr": False, "eq": False, **self._wanted}
        asked["slots"] = "__slots__" in made.__dict__  # then defaults are for `__init__` to set
        return dataclasses.dataclass(**asked)(twin).__dict__[self._name]


def _freeze(made: Any, own: Iterable[str], *, has_slots: bool) -> None:
    """Let nobody assign to fields; see what the library writes for `frozen`."""
    names = frozenset(field.name for field in dataclasses.fields(made))

    def __setattr__(self: Any, name: str, value: object) -> None:  # noqa: N807 - it is one
        if type(self) is made or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(made, self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:  # noqa: N807 - it is one
        if type(self) is made or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(made, self).__delattr__(name)

    made.__setattr__ = __setattr__
    made.__delattr__ = __delattr__
    if has_slots and "__getstate__" not in own:  # without both, a copy could not be filled
        made.__getstate__ = _state
    if has_slots and "__setstate__" not in own:
        made.__setstate__ = _set_state


def _state(self: Any) -> list[object]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: Iterable[object]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
