"""What a token permits: scopes as `conversations:read`, and which ones a method takes.

A scope is a group and `read` or `write`; the group is the first word of the methods' names, in the
plural. `*` permits all. Jami's app access has the same form, though it enforces none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.node.driver.api.registry import METHODS, load
from shoal.web.errors import ScopeMissingError, UnknownScopeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from shoal.node.driver.api.registry import Method

EVERYTHING: Final = "*"
READ: Final = "read"
WRITE: Final = "write"
READING: Final = frozenset(  # verbs that change nothing
    {
        *("entries", "events", "export", "info", "list", "lookup", "messages", "methods"),
        *("profile", "received", "requests", "resolve", "reverse", "search", "show", "state"),
        *("status", "statuses", "traces", "unread", "map"),
    }
)
FILE_PARAMETERS: Final = frozenset({"path", "file", "folder", "archive_path"})
ALSO: Final = {  # what a method tells of other groups takes their scopes too
    "node.events": ("contacts:read", "conversations:read"),
    "conversation.events": ("contacts:read",),
}
NARROWED: Final = {"conversation.events": "conversation"}  # with this, it tells of no other group
FREE: Final = frozenset({"node.methods"})  # says what the description says, to everybody


def is_offered(method: Method) -> bool:
    """Whether a method is offered: not where it names files of this machine, which come as bodies.

    A page, or a program that was given a token, has no business choosing files of the user.
    """
    is_for_commands = method.name.startswith("web.")
    return not is_for_commands and not any(
        each.name in FILE_PARAMETERS for each in method.parameters
    )


def offered() -> Iterator[Method]:
    """Return the methods that are offered."""
    load()
    return (each for each in METHODS if is_offered(each))


def is_reading(name: str) -> bool:
    """Whether the method called *name* changes nothing."""
    return name.rpartition(".")[2] in READING


def scope_of(name: str) -> str:
    """Return the scope of the group that the method called *name* belongs to."""
    group = name.partition(".")[0]
    plural = "connections" if group == "connect" else f"{group}s"
    return f"{plural}:{READ if is_reading(name) else WRITE}"


def scopes_of(name: str) -> tuple[str, ...]:
    """Return all scopes that the method called *name* takes: its own, first, and what it tells."""
    return (scope_of(name), *ALSO.get(name, ()))


def known_scopes() -> list[str]:
    """Return all scopes there are, in order; reading and writing of each group."""
    groups = {scope_of(each.name).partition(":")[0] for each in offered()}
    return [f"{group}:{verb}" for group in sorted(groups) for verb in (READ, WRITE)]


def check_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return *scopes* in order, each once.

    Raises:
        UnknownScopeError: one is none.
    """
    known = {EVERYTHING, *known_scopes()}
    for scope in scopes:
        if scope not in known:
            raise UnknownScopeError(
                f"no scope {scope[:80]!r}; there are {', '.join(sorted(known))}"
            )
    return tuple(sorted(set(scopes)))


def check_permitted(
    scopes: Iterable[str], account: str, name: str, params: Mapping[str, object]
) -> None:
    """Let a call through, or not.

    Args:
        scopes: what the token permits.
        account: the only account that it may be about, or "".
        name: that of the method.
        params: what it is called with.

    Raises:
        ScopeMissingError: the token does not permit it.
    """
    if name in FREE:
        return
    granted = set(scopes)
    is_narrow = bool(params.get(NARROWED.get(name, "")))
    wanted = (scope_of(name),) if is_narrow else scopes_of(name)
    missing = [each for each in wanted if each not in granted]
    if EVERYTHING not in granted and missing:
        raise ScopeMissingError(f"{name} takes a token with the scope {missing[0]}")
    if account and params.get("account") != account:
        raise ScopeMissingError(f"this token is for calls with account={account} alone")
