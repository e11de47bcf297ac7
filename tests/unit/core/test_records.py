"""Dataclasses whose methods are written when they are first used: else as the library's."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import re
from dataclasses import FrozenInstanceError, InitVar, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

import shoal
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

METHODS = ("__init__", "__repr__", "__eq__", "__hash__")
LIBRARY: Any = dataclasses.dataclass
BOTH = pytest.mark.parametrize("decorator", [dataclass, LIBRARY], ids=["ours", "library's"])


@dataclass(frozen=True, slots=True)
class Point:
    """Made of nothing else."""

    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Place(Point):
    """Has its father's fields."""

    name: str = ""


def fresh(decorator: Any, **options: bool) -> Any:
    """Return a new dataclass."""

    class Fresh:
        x: float
        note: str = field(default="", repr=False, compare=False)

    return decorator(**options)(Fresh)


def unwritten(kind: type) -> set[str]:
    """Return which methods of a class are not there yet."""
    return {name for name in METHODS if not inspect.isfunction(kind.__dict__[name])}


def test_methods_are_written_when_they_are_first_used() -> None:
    """Each by itself: who only makes values has the other three never compiled."""
    kind = fresh(dataclass, frozen=True, slots=True)
    assert unwritten(kind) == set(METHODS)
    first = kind(1)
    assert unwritten(kind) == {"__repr__", "__eq__", "__hash__"}
    assert first == kind(1)
    assert unwritten(kind) == {"__repr__", "__hash__"}
    assert hash(first) == hash(kind(1))
    assert unwritten(kind) == {"__repr__"}
    assert repr(first).endswith("Fresh(x=1)")
    assert unwritten(kind) == set()


@BOTH
def test_values_are_compared_shown_and_hashed(decorator: Any) -> None:
    """By the fields that say so."""
    kind = fresh(decorator, frozen=True, slots=True)
    assert kind(1, "a") == kind(1, "b") != kind(2)
    assert kind(1) != (1,)
    assert hash(kind(1, "a")) == hash(kind(1, "b")) == hash((1,))
    assert repr(kind(1)).endswith("Fresh(x=1)")
    assert replace(kind(1, "a"), x=3).note == "a"


def test_what_is_not_equal_to_itself() -> None:
    """What holds it is equal or not as the library has it: Python 3.13 changed that."""
    nan = float("nan")
    ours, theirs = fresh(dataclass), fresh(LIBRARY)
    assert (ours(nan) == ours(nan)) is (theirs(nan) == theirs(nan))


@BOTH
def test_others_can_look_into_a_class(decorator: Any) -> None:
    """Signature, patterns, slots, and the error of a wrong call."""
    kind = fresh(decorator, frozen=True, slots=True)
    assert str(inspect.signature(kind)) == "(x: 'float', note: 'str' = '') -> None"
    assert kind.__match_args__ == ("x", "note")
    assert kind.__slots__ == ("x", "note")
    assert kind.__init__.__module__ == __name__
    assert kind.__init__.__qualname__ == f"{kind.__qualname__}.__init__"
    with pytest.raises(TypeError, match=r"Fresh\.__init__\(\) missing 1 required positional"):
        kind()


@BOTH
def test_frozen_ones_take_nothing(decorator: Any) -> None:
    """Nor do their children, as far as the fields go."""
    kind = fresh(decorator, frozen=True)

    class Child(kind):  # type: ignore[misc, valid-type]  # made a line ago
        pass

    for value, name in ((kind(1), "x"), (kind(1), "other"), (Child(1), "x")):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(value, name, 2)
        with pytest.raises(FrozenInstanceError, match=f"cannot delete field '{name}'"):
            delattr(value, name)
    child = Child(1)
    child.other = 2
    del child.other
    assert child == Child(1) != kind(1)


@BOTH
def test_what_a_class_says_itself_stays(decorator: Any) -> None:
    """Nothing is written over it."""

    class Own:
        x: int

        def __init__(self) -> None:
            self.x = 7

        def __post_init__(self) -> None:
            raise AssertionError("the library's __init__ calls this")

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 5

    kind = decorator(slots=True)(Own)
    assert repr(kind()) == "own"
    assert kind() == 3
    assert hash(kind()) == 5


@BOTH
def test_own_equality_says_nothing_about_hashes(decorator: Any) -> None:
    """The frozen are hashed by their fields all the same."""

    class Alike:  # noqa: PLW1641 - that is the point
        x: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Alike)

    assert hash(decorator(frozen=True)(Alike)(1)) == hash((1,))


@BOTH
@pytest.mark.parametrize(
    ("options", "is_hashable", "is_equal"),
    [
        ({"frozen": True}, True, True),
        ({}, False, True),
        ({"eq": False}, True, False),
        ({"eq": False, "frozen": True}, True, False),
    ],
)
def test_who_can_be_hashed(
    decorator: Any, options: dict[str, bool], *, is_hashable: bool, is_equal: bool
) -> None:
    """The frozen, and those that are only themselves."""
    kind = fresh(decorator, slots=True, **options)
    assert (kind.__hash__ is not None) == is_hashable
    assert (kind(1) == kind(1)) == is_equal
    params = kind.__dataclass_params__
    assert (params.eq, params.frozen) == (options.get("eq", True), options.get("frozen", False))


@BOTH
def test_what_follows_the_making_is_called(decorator: Any) -> None:
    """`__post_init__`, once."""

    class Even:
        x: int

        def __post_init__(self) -> None:
            if self.x % 2:
                raise ValueError("odd")

    kind = decorator(frozen=True, slots=True)(Even)
    assert kind(2).x == 2
    with pytest.raises(ValueError, match="odd"):
        kind(3)


@BOTH
@pytest.mark.parametrize("slots", [True, False])
def test_fields_that_are_not_asked_for_have_their_defaults(decorator: Any, slots: bool) -> None:
    """With slots no class stands behind a value that was not set."""

    class Told:
        x: int
        kind: str = field(init=False, default="plain")

    told = decorator(frozen=True, slots=slots)(Told)(1)
    assert told.kind == "plain"
    assert "kind='plain'" in repr(told)


@BOTH
def test_what_is_no_field_of_values(decorator: Any) -> None:
    """What belongs to the class, what only the making takes, and what has to be named."""

    class Made:
        total: ClassVar[int] = 7
        x: int
        twice: InitVar[bool]
        note: str = field(default="", kw_only=True)

        def __post_init__(self, twice: bool) -> None:
            object.__setattr__(self, "x", 2 * self.x if twice else self.x)

    kind = decorator(frozen=True, slots=True)(Made)
    made = kind(3, True, note="a")
    assert repr(made).endswith("Made(x=6, note='a')")
    assert made == kind(6, False, note="a")
    assert hash(made) == hash((6, "a"))
    assert kind.total == 7
    with pytest.raises(TypeError, match="positional"):
        kind(3, True, "a")


@BOTH
def test_copies_of_the_frozen_hold_all(decorator: Any) -> None:
    """Without slots a child may hold more than its fields."""
    kind = fresh(decorator, frozen=True)

    class Child(kind):  # type: ignore[misc, valid-type]  # made a line ago
        pass

    child = Child(1)
    child.other = 2
    assert copy.copy(child).other == 2


@BOTH
def test_without_init_none_is_written(decorator: Any) -> None:
    """Such classes have constructors with names."""
    kind = fresh(decorator, frozen=True, slots=True, init=False)
    with pytest.raises(TypeError):
        kind(1)


@BOTH
def test_what_holds_itself_is_shown_once(decorator: Any) -> None:
    """Like a list that does."""
    ring = fresh(decorator)([])
    ring.x.append(ring)
    assert repr(ring).endswith("Fresh(x=[...])")


@pytest.mark.parametrize("kind", [Point, Place])
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))],  # noqa: S301 - ours
    ids=["copy", "deepcopy", "pickle"],
)
def test_copies_are_equal(kind: type[Point], copied: Callable[[Point], Point]) -> None:
    """Though nothing may be assigned to them."""
    point = kind(1, 2, ["a"])
    again = copied(point)
    assert again == point
    assert again.tags == ["a"]


def test_each_value_has_a_default_of_its_own() -> None:
    """Where one is made by a factory."""
    assert Point(1).tags is not Point(1).tags


def test_heirs_have_the_fields_of_their_fathers() -> None:
    """These are the library's altogether."""
    place = Place(1, name="here")
    assert place == Place(1, 0, [], "here") != Place(1)
    assert repr(place) == "Place(x=1, y=0, name='here')"
    assert [each.name for each in dataclasses.fields(Place)] == ["x", "y", "tags", "name"]


def test_all_dataclasses_of_ours_are_made_so() -> None:
    """One by the library costs each start a millisecond."""
    root = Path(shoal.__file__).parent
    by_name = re.compile(
        r"from dataclasses import (.*|\([^)]*)\bdataclass\b|dataclasses\.dataclass\("
    )
    by_library = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if by_name.search(path.read_text("utf-8"))
    ]
    assert by_library == ["core/records.py"]


def test_two_threads_may_be_first() -> None:
    """What one found unwritten works after the other has had it written."""
    kind = fresh(dataclass, frozen=True, slots=True)
    found = kind.__dict__["__eq__"]
    assert kind(1) == kind(1)
    assert found.__get__(kind(1), kind)(kind(1)) is True
