"""`shoal dht put`, `get`, `listen` and `query`: each runs a node of its own while it works."""

# ruff: noqa: ASYNC109, PLC0415 - a timeout is an option here; commands load what they use

from __future__ import annotations

import asyncio
import contextlib
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import click

from shoal.cli.common import (
    TIMEOUT,
    Budget,
    Exit,
    bootstrap_options,
    emit,
    guest_node,
    identity_option,
    json_option,
    load_identity,
    runs_async,
    timeout_option,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shoal.core import InfoHash, PublicKeyId
    from shoal.dht.driver import DhtNode, PutResult
    from shoal.dht.query import Row
    from shoal.dht.value import Value

P = ParamSpec("P")
R = TypeVar("R")

FILE_SIZE_MAX: Final = 65_536  # reference section 2.2: what a value may hold
HEX_SHOWN_MAX: Final = 64  # bytes of what is no text


def common_options(command: Callable[P, R]) -> Callable[P, R]:
    """Add what all of these commands have."""
    return bootstrap_options(identity_option(json_option(command)))


def where_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add --where."""
    return click.option(
        "--where",
        default="",
        metavar="CONDITIONS",
        help="Only values that meet these, as in id=5,user_type=chat.",
    )(command)


def long_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add --long."""
    return click.option("-l", "--long", "is_long", is_flag=True, help="Show ids and types too.")(
        command
    )


@click.command()
@click.argument("key")
@click.argument("text", required=False)
@click.option("--file", "path", metavar="F", help="Store the bytes of this file; - is stdin.")
@click.option("--id", "value_id", type=click.IntRange(1, 2**64 - 1), help="Id; else a random one.")
@click.option("--type", "type_", type=click.IntRange(0, 2**16 - 1), default=0, help="Value type.")
@click.option("--user-type", default="", help="What it is to applications: a media type, mostly.")
@click.option("--sign", is_flag=True, help="Sign it by --identity; the same id edits it later.")
@click.option("--encrypt", "recipient", metavar="ID", help="Encrypt it to this public key id.")
@click.option("--permanent", is_flag=True, help="Stay, and renew it until stopped.")
@click.option("--confirm", is_flag=True, help="Ask nodes whether they have it, not just got it.")
@common_options
@timeout_option(TIMEOUT, "Give up after this time; with --permanent, on the first put.")
@runs_async
async def put(
    key: str,
    text: str | None,
    path: str | None,
    value_id: int | None,
    type_: int,
    user_type: str,
    recipient: str | None,
    bootstrap: tuple[str, ...],
    network: int,
    identity: str | None,
    timeout: float,
    *,
    sign: bool,
    permanent: bool,
    confirm: bool,
    no_ipv6: bool,
    as_json: bool,
) -> int:
    """Store TEXT, or the content of a file, at KEY.

    A value lives for ten minutes, or as long as its type says, unless it is --permanent.
    """
    from shoal.dht.value import Value

    value = Value(data=_content(text, path), id=value_id or 0, type=type_, user_type=user_type)
    to = None if recipient is None else _recipient(recipient)
    owner, budget = load_identity(identity), Budget(timeout)
    async with guest_node(
        bootstrap, network, no_ipv6=no_ipv6, budget=budget, identity=owner
    ) as node:
        store = _way_to_put(node, to, is_signed=sign)
        result = await store(key, value, permanent=permanent, confirm=confirm, timeout=budget.left)
        _show_put(key, result, as_json=as_json)
        if permanent:
            click.echo("renewing it until stopped (Ctrl-C)", err=True)
            await asyncio.Event().wait()
    return Exit.OK


@click.command()
@click.argument("key")
@where_option
@long_option
@click.option("--raw", "is_raw", is_flag=True, help="Write the bytes of the first value, no more.")
@common_options
@timeout_option(TIMEOUT, "Show what was found within this time.")
@runs_async
async def get(
    key: str,
    where: str,
    bootstrap: tuple[str, ...],
    network: int,
    identity: str | None,
    timeout: float,
    *,
    is_long: bool,
    is_raw: bool,
    no_ipv6: bool,
    as_json: bool,
) -> int:
    """Show the values at KEY, each as soon as it is found.

    Encrypted values are shown to those whose --identity can read them; signatures are verified,
    and forged values dropped. The exit status is 1 if nothing was found.
    """
    owner, budget, found = load_identity(identity), Budget(timeout), 0
    async with guest_node(
        bootstrap, network, no_ipv6=no_ipv6, budget=budget, identity=owner
    ) as node:
        operation = node.get(key, where=where, timeout=budget.left)
        with contextlib.suppress(TimeoutError):
            async for value in operation:
                found += 1
                if is_raw:
                    sys.stdout.buffer.write(value.data)
                    return Exit.OK
                _show_value("value", value, "", as_json=as_json, is_long=is_long)
        if as_json:
            emit("done", values=found, nodes=operation.nodes)
    if not found:
        click.echo(f"nothing found at {key}", err=True)
    return Exit.OK if found else Exit.FAILED


@click.command()
@click.argument("key")
@where_option
@long_option
@click.option("--count", type=click.IntRange(1), help="End after this many events.")
@common_options
@timeout_option(None, "End after this time; else by Ctrl-C.")
@runs_async
async def listen(
    key: str,
    where: str,
    count: int | None,
    bootstrap: tuple[str, ...],
    network: int,
    identity: str | None,
    timeout: float | None,
    *,
    is_long: bool,
    no_ipv6: bool,
    as_json: bool,
) -> int:
    """Follow the values at KEY: + is a new value or a new version, - one that is gone.

    Ended by --count or --timeout, the exit status is 0 if there was any event, else 1.
    """
    from shoal.dht.driver import Added, Expired, Lagged

    owner, budget, seen = load_identity(identity), Budget(timeout), 0
    async with guest_node(
        bootstrap, network, no_ipv6=no_ipv6, budget=budget, identity=owner
    ) as node:
        with contextlib.suppress(TimeoutError):
            async for event in node.listen(key, where=where, timeout=budget.left):
                match event:
                    case Added(value):
                        _show_value("added", value, "+ ", as_json=as_json, is_long=is_long)
                    case Expired(value):
                        _show_value("expired", value, "- ", as_json=as_json, is_long=is_long)
                    case Lagged(missed):
                        _show_gap(missed, as_json=as_json)
                seen += 1
                if count is not None and seen >= count:
                    break
    return Exit.OK if seen else Exit.FAILED


@click.command()
@click.argument("key")
@click.argument("query", nargs=-1, required=True)
@bootstrap_options
@json_option
@timeout_option(TIMEOUT, "Show what was found within this time.")
@runs_async
async def query(
    key: str,
    query: tuple[str, ...],
    bootstrap: tuple[str, ...],
    network: int,
    timeout: float,
    *,
    no_ipv6: bool,
    as_json: bool,
) -> int:
    """Show fields of the values at KEY, as in SELECT id,seq WHERE user_type=chat.

    Fields: id, value_type, owner_pk, seq, user_type. Nodes answer from what they store; nothing is
    verified. The exit status is 1 if nothing was found.
    """
    budget, rows = Budget(timeout), 0
    async with guest_node(bootstrap, network, no_ipv6=no_ipv6, budget=budget) as node:
        operation = node.query(key, " ".join(query), timeout=budget.left)
        with contextlib.suppress(TimeoutError):
            async for row in operation:
                rows += 1
                _show_row(row, as_json=as_json)
        if as_json:
            emit("done", rows=rows, nodes=operation.nodes)
    if not rows:
        click.echo(f"nothing found at {key}", err=True)
    return Exit.OK if rows else Exit.FAILED


def _content(text: str | None, path: str | None) -> bytes:
    """Return what to put.

    Raises:
        ValueTooLargeError: the file is larger than any value.
    """
    from shoal.dht.errors import ValueTooLargeError

    if (text is None) == (path is None):
        raise click.UsageError("give either a TEXT or --file")
    if text is not None:
        return text.encode()
    assert path is not None, "one of both is there"
    try:
        if path == "-":
            data = sys.stdin.buffer.read(FILE_SIZE_MAX + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(FILE_SIZE_MAX + 1)
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > FILE_SIZE_MAX:
        raise ValueTooLargeError(f"{path} is larger than {FILE_SIZE_MAX} bytes")
    return data


def _way_to_put(
    node: DhtNode, to: PublicKeyId | InfoHash | None, *, is_signed: bool
) -> Callable[..., Awaitable[PutResult]]:
    if to is not None:
        return partial(node.put_encrypted, to=to)
    return node.put_signed if is_signed else node.put


def _recipient(text: str) -> PublicKeyId | InfoHash:
    from shoal.core import DecodeError, InfoHash, PublicKeyId

    kind = InfoHash if len(text) == 2 * InfoHash.length else PublicKeyId
    try:
        return kind.from_hex(text)
    except DecodeError as error:
        raise click.UsageError(
            f"--encrypt takes a key id of 40 or 64 hex digits: {error}"
        ) from error


def _show_put(key: str, result: PutResult, *, as_json: bool) -> None:
    if as_json:
        emit(
            "stored",
            key=key,
            id=str(result.value_id),
            nodes=result.nodes,
            is_only_here=result.is_only_here,
        )
    elif result.is_only_here:
        click.echo(f"value {result.value_id} is on this node only, so far")
    else:
        nodes = "1 node" if result.nodes == 1 else f"{result.nodes} nodes"
        click.echo(f"stored as value {result.value_id} on {nodes}")


def _show_value(event: str, value: Value, mark: str, *, as_json: bool, is_long: bool) -> None:
    from shoal.dht.value_json import value_to_json

    text = _text_of(value.data)
    if as_json:
        emit(event, **value_to_json(value), **({} if text is None else {"text": text}))
        return
    if is_long:
        click.echo(f"{mark}{_about(value)}")
    if text is not None:
        click.echo(f"{mark}{text}")
    else:
        more = "…" if len(value.data) > HEX_SHOWN_MAX else ""
        click.echo(f"{mark}{len(value.data)} bytes: {value.data[:HEX_SHOWN_MAX].hex()}{more}")


def _about(value: Value) -> str:
    """Return the line that --long puts before a value."""
    words = [f"id {value.id}", f"type {value.type}", f"{len(value.data)} bytes"]
    if value.user_type:
        words.append(_text_of(value.user_type.encode("utf-8", "replace")) or "?")
    if value.is_signed:
        words.append(f"signed by {value.owner_id}, seq {value.seq}")
    if value.recipient is not None:
        words.append(f"encrypted to {value.recipient}")
    return ", ".join(words)


def _text_of(data: bytes) -> str | None:
    """Return *data* as text if a terminal can show it: what nodes send must not control it."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c in "\n\t" for c in text) else None


def _show_gap(missed: int, *, as_json: bool) -> None:
    if as_json:
        emit("lagged", missed=missed)
    else:
        click.echo(f"{missed} events came faster than they could be shown", err=True)


def _show_row(row: Row, *, as_json: bool) -> None:
    owner = None if row.owner_id is None else str(row.owner_id)
    fields = {
        "id": None if row.id is None else str(row.id),
        "value_type": row.type,
        "owner": owner,
        "seq": row.seq,
        "user_type": row.user_type,
    }
    known = {name: field for name, field in fields.items() if field is not None}
    if as_json:
        emit("row", **known)
    else:
        click.echo("  ".join(f"{name}={field}" for name, field in known.items()))
