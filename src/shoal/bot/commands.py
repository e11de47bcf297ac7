"""Commands: a line of text, as the arguments of a Python function.

    @bot.command()
    async def remind(message: Message, minutes: float, *words: str) -> None:

`/remind 10 tea is ready` gives `minutes=10.0, words=("tea", "is", "ready")`. Parameters are `str`,
`int`, `float` or `bool`; those with defaults may be left out; `*words` takes what is left. Words
are split as a shell does, so quotes keep blanks together.
"""

from __future__ import annotations

import inspect
import shlex
import typing
from typing import TYPE_CHECKING, Any, Final

from shoal.bot.errors import HandlerError, Refusal
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TYPES: Final = (str, int, float, bool)
_WORDS: Final = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
_KINDS: Final = {int: "a whole number", float: "a number", bool: "yes or no", str: "text"}


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        name: what it is called by, without the prefix.
        handler: what is called.
        parameters: those after the message.
        summary: one line of help.
    """

    name: str
    handler: Callable[..., Awaitable[None]]
    parameters: tuple[inspect.Parameter, ...]
    summary: str

    @classmethod
    def of(cls, handler: Callable[..., Awaitable[None]], name: str, summary: str = "") -> Command:
        """Make a command of a handler.

        Raises:
            HandlerError: it has parameters that no words can be given to.
        """
        try:
            hints = typing.get_type_hints(handler)
        except NameError:  # names of type checkers alone: those that words become are builtins
            hints = {}
        parameters = []
        for each in list(inspect.signature(handler).parameters.values())[1:]:
            kind = hints.get(each.name, _builtin(each.annotation))
            if kind not in TYPES or each.kind in (each.KEYWORD_ONLY, each.VAR_KEYWORD):
                raise HandlerError(f"{name}: parameter {each} is neither str, int, float nor bool")
            parameters.append(each.replace(annotation=kind))
        doc = inspect.getdoc(handler) or ""
        return cls(name, handler, tuple(parameters), summary or doc.partition("\n")[0])

    @property
    def usage(self) -> str:
        """How it is written, without the prefix."""
        return " ".join([self.name, *(_shown(each) for each in self.parameters)])

    def read(self, text: str) -> list[Any]:
        """Return the arguments that *text*, what follows the name, stands for.

        Raises:
            Refusal: they do not fit.
        """
        try:
            words = shlex.split(text)
        except ValueError:  # a quote without its other end is an apostrophe
            words = text.split()
        values: list[Any] = []
        for parameter in self.parameters:
            if parameter.kind is parameter.VAR_POSITIONAL:
                values += [_read(parameter, word) for word in words]
                words = []
            elif words:
                values.append(_read(parameter, words.pop(0)))
            elif parameter.default is parameter.empty:
                raise Refusal(f"{parameter.name} is missing: {self.usage}")
        if words:
            raise Refusal(f"too many words: {self.usage}")
        return values


def split_command(text: str, prefix: str) -> tuple[str, str] | None:
    """Return a command's name and the rest, if *text* is one."""
    if not text.startswith(prefix):
        return None
    name, _, rest = text.removeprefix(prefix).partition(" ")
    name = name.strip()
    return (name.lower(), rest.strip()) if name and not name.isspace() else None


def _read(parameter: inspect.Parameter, word: str) -> str | int | float | bool:
    """Return a word as the parameter has it.

    Raises:
        Refusal: it is none of these.
    """
    kind = parameter.annotation
    try:
        if kind is bool:
            return _WORDS[word.lower()]
        value: str | int | float = kind(word)
    except (ValueError, KeyError):
        raise Refusal(f"{parameter.name} is {_KINDS[kind]}, not {word!r:.40}") from None
    return value


def _builtin(annotation: object) -> object:
    """Return the type that an annotation names."""
    return next((kind for kind in TYPES if annotation in (kind, kind.__name__)), annotation)


def _shown(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"[{parameter.name}…]"
    return parameter.name if parameter.default is parameter.empty else f"[{parameter.name}]"
