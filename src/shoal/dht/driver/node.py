"""`DhtNode`: a participant of the DHT, as an asyncio object."""

# ruff: noqa: ASYNC109 - each operation takes a timeout, because cancelling it has effects of its own

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from shoal.dht.driver.arguments import Conditions, Content, Key, key_of, value_of, where_of
from shoal.dht.driver.hosts import parse_host
from shoal.dht.driver.lifecycle import NodeLifecycle
from shoal.dht.driver.operations import (
    Added,
    Expired,
    GetOperation,
    Inbox,
    ListenEvent,
    ListenOperation,
    PutResult,
    QueryOperation,
)
from shoal.dht.effects import Done, RowsFound, ValuesExpired, ValuesFound
from shoal.dht.errors import (
    CertificateNotFoundError,
    DhtError,
    NoIdentityError,
    NotConnectedError,
    PutRefusedError,
    StoredOnlyHereError,
)
from shoal.dht.query import Condition, Field, Query, Row
from shoal.dht.secure.effects import CertificateFound, OperationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.core import Address, InfoHash, PublicKeyId
    from shoal.crypto.certificates import Certificate
    from shoal.crypto.identity import Identity
    from shoal.dht.driver.runtime import OperationEvent, Sink
    from shoal.dht.secure.engine import SecureEngine
    from shoal.dht.value import Value

Recipient: TypeAlias = "PublicKeyId | InfoHash | Certificate | bytes"
Item = TypeVar("Item")
Items: TypeAlias = "Sequence[tuple[int, Item]] | None"


class DhtNode(NodeLifecycle):
    """A node of the DHT: it routes and stores for others, and works for you.

    Use it as an async context manager, from the event loop that opened it::

        async with DhtNode(bootstrap=["bootstrap.example.org"]) as node:
            await node.put("a key", "a value")
            values = await node.get("a key")

    A *key* is an `InfoHash`, 40 hex digits, or any other text, which is hashed as OpenDHT hashes
    it. A *value* is a `Value`, or its content as bytes or text. While the node is still connecting,
    operations wait for that to end; cancelling one, by its task or a timeout, ends it.
    """

    def get(
        self,
        key: Key,
        *,
        where: Conditions = (),
        timeout: float | None = None,
        raw: bool = False,
        identity: Identity | None = None,
    ) -> GetOperation:
        """Look for the values at *key*: `await` for all of them, or iterate as they come.

        Encrypted values are decrypted, signed ones verified; those that fail are not shown.

        *where* lets only some values through; as text it reads `"id=5,user_type=chat"`. *timeout*
        is in seconds, for the whole operation. *raw* shows values as they are stored, encrypted
        and unverified. *identity* decrypts instead of the node's own.

        Raises:
            KeyFormatError: *key* is empty.
        """
        place, conditions = key_of(key), where_of(where)

        def command(op: int, now: float) -> Sequence[object]:
            secure = self._running().secure
            return secure.get(op, place, now, where=conditions, raw=raw, identity=identity)

        open_ = partial(self._open_inbox, command, _values_in)
        return GetOperation(open_, self._close_inbox, self._drop_inbox, timeout)

    def query(
        self, key: Key, query: Query | str, *, timeout: float | None = None
    ) -> QueryOperation:
        """Look for fields of the values at *key*, as in `"SELECT id,seq WHERE value_type=0"`.

        What nodes answer is not verified: they see no signatures, and could claim anything.

        Raises:
            KeyFormatError: *key* is empty.
            DecodeError: *query* is not understood.
        """
        place = key_of(key)
        wanted = Query.parse(query) if isinstance(query, str) else query

        def command(op: int, now: float) -> Sequence[object]:
            return self._running().secure.query(op, place, wanted, now)

        open_ = partial(self._open_inbox, command, _rows_in)
        return QueryOperation(open_, self._close_inbox, self._drop_inbox, timeout)

    def listen(
        self,
        key: Key,
        *,
        where: Conditions = (),
        timeout: float | None = None,
        raw: bool = False,
        identity: Identity | None = None,
    ) -> ListenOperation:
        """Follow the values at *key*: iterate over `Added` and `Expired` for as long as you like.

        A reader that is too slow gets one `Lagged`; a `get` then tells what it missed. The other
        arguments are those of `get`.

        Raises:
            KeyFormatError: *key* is empty.
        """
        place, conditions = key_of(key), where_of(where)

        def command(op: int, now: float) -> Sequence[object]:
            secure = self._running().secure
            return secure.listen(op, place, now, where=conditions, raw=raw, identity=identity)

        open_ = partial(self._open_inbox, command, _changes_in)
        return ListenOperation(open_, self._close_inbox, self._drop_inbox, timeout)

    async def put(
        self,
        key: Key,
        value: Content,
        *,
        permanent: bool = False,
        created: float | None = None,
        confirm: bool = False,
        timeout: float | None = None,
    ) -> PutResult:
        """Store *value* at *key* on the nodes closest to it.

        It lives as long as its type says, ten minutes by default. If the call is cancelled or
        times out, so is the put.

        Args:
            key: where; nodes near to it in the id space store the value.
            value: what; without an id it gets a random one.
            permanent: announce it again and again until `cancel_put`, or until the node closes.
            created: seconds since 1970 from which its life counts; None means now.
            confirm: ask afterwards whether nodes have it: they acknowledge even what they refuse.
            timeout: seconds for the whole operation.

        Raises:
            KeyFormatError: *key* is empty.
            ValueTooLargeError: no node would take it.
            StoredOnlyHereError: no other node took it; a permanent put goes on instead.
            PutRefusedError: another value has this id, and this one may not replace it.
            TimeoutError: the time given has passed.
            NodeClosedError: the node is or was closed.
        """
        place, stored = key_of(key), value_of(value, self._entropy)
        runtime = self._running()
        return await self._put(
            place,
            stored.id,
            lambda op, now: runtime.secure.put(
                op, place, stored, now, created=created, permanent=permanent
            ),
            permanent=permanent,
            confirm=confirm,
            timeout=timeout,
        )

    async def put_signed(
        self,
        key: Key,
        value: Content,
        *,
        permanent: bool = False,
        confirm: bool = False,
        timeout: float | None = None,
        identity: Identity | None = None,
    ) -> PutResult:
        """Store *value*, signed by *identity*; put it with the same id to edit it.

        Without *identity* the node's own signs.

        Raises:
            NoIdentityError: the node has no identity, and none is given.
            UnsuitableKeyError: *identity* can't sign values.
            DhtError: as `put`.
        """
        self._require_identity(identity)
        place, stored = key_of(key), value_of(value, self._entropy)
        runtime = self._running()
        return await self._put(
            place,
            stored.id,
            lambda op, now: runtime.secure.put_signed(
                op, place, stored, now, permanent=permanent, identity=identity
            ),
            permanent=permanent,
            confirm=confirm,
            timeout=timeout,
        )

    async def put_encrypted(
        self,
        key: Key,
        value: Content,
        to: Recipient,
        *,
        permanent: bool = False,
        confirm: bool = False,
        timeout: float | None = None,
        identity: Identity | None = None,
    ) -> PutResult:
        """Store *value*, signed by *identity*, or else the node's own, and readable by *to* alone.

        *to* is the id of a public key, whose certificate is then looked up; or a certificate; or
        the public key itself, as SubjectPublicKeyInfo DER.

        Raises:
            NoIdentityError: the node has no identity, and none is given.
            UnsuitableKeyError: *identity* can't sign values.
            CertificateNotFoundError: nobody published a certificate under that id.
            DhtError: as `put`.
        """
        self._require_identity(identity)
        place, stored = key_of(key), value_of(value, self._entropy)
        name = to if isinstance(to, bytes) else to.public_key.spki
        runtime = self._running()
        return await self._put(
            place,
            stored.id,
            lambda op, now: runtime.secure.put_encrypted(
                op, place, stored, name, now, permanent=permanent, identity=identity
            ),
            permanent=permanent,
            confirm=confirm,
            timeout=timeout,
        )

    def cancel_put(self, key: Key, value_id: int) -> None:
        """Stop announcing a value and forget our copy; others keep theirs until it expires.

        Raises:
            NodeClosedError: the node is closed.
        """
        place, runtime = key_of(key), self._running()
        runtime.call(lambda now: runtime.secure.cancel_put(place, value_id, now))

    async def find_certificate(
        self, name: PublicKeyId | InfoHash, *, timeout: float | None = None
    ) -> Certificate:
        """Find the certificate of a public key, by its long or short id.

        One that OpenDHT 2.4 published is found by long id only if this node has seen its public
        key before, as in a signed value: its place follows from the short id alone.

        Raises:
            CertificateNotFoundError: nobody published one.
            TimeoutError: the time given has passed.
        """
        runtime = self._running()
        found: list[Certificate] = []

        def note(event: OperationEvent) -> None:
            if isinstance(event, CertificateFound):
                found.append(event.certificate)

        await self._finish(
            lambda op, now: runtime.secure.find_certificate(op, name, now), timeout, note
        )
        if not found:
            raise CertificateNotFoundError
        return found[0]

    async def ping(self, host: str, *, timeout: float | None = None) -> float:
        """Ask whether the node at *host*, written as in `bootstrap`, lives; return the seconds.

        Raises:
            NotConnectedError: it does not answer.
            BootstrapFormatError: *host* is not understood.
        """
        runtime = self._running()
        addrs = await self._resolve(*parse_host(host))
        began = runtime.now
        for addr in addrs:
            ping = partial(self._ping_command, addr)
            done = await self._finish(ping, timeout)
            if done.ok:
                return runtime.now - began
        raise NotConnectedError(f"no DHT node answers at {host}")

    # For engines that stand on the DHT

    def begin(
        self, sink: Sink, command: Callable[[SecureEngine, int, float], Sequence[object]]
    ) -> int:
        """Start an operation by *command*, which is given the engine, an op and the time.

        *sink* gets its events, `Done` being the last, or one error. The op is for `cancel`.

        Raises:
            NodeClosedError: the node is closed.
            DhtError: the engine refuses the command.
        """
        runtime = self._running()
        return runtime.begin(sink, lambda op, now: command(runtime.secure, op, now))

    def cancel(self, op: int) -> None:
        """End what `begin` started, without another event; harmless if it has ended."""
        if self._runtime is not None:
            self._runtime.cancel(op)

    # Inside

    def _ping_command(self, addr: Address, op: int, now: float) -> Sequence[object]:
        runtime = self._running()
        return runtime.secure.absorb(runtime.engine.ping(op, addr, now), now)

    def _open_inbox(
        self,
        command: Callable[[int, float], Sequence[object]],
        items_in: Callable[[OperationEvent], Items[Item]],
    ) -> Inbox[Item]:
        """Start an operation whose events, as *items_in* reads them, fill an inbox."""
        inbox: Inbox[Item] = Inbox()

        def sink(event: OperationEvent | DhtError) -> None:
            match event:
                case Done():
                    inbox.finish(event)
                case OperationFailed(_, error):
                    inbox.fail(error)
                case DhtError():
                    inbox.fail(event)
                case _:
                    inbox.push(items_in(event) or ())

        inbox.op = self._running().begin(sink, command)
        return inbox

    async def _put(
        self,
        key: InfoHash,
        value_id: int,
        command: Callable[[int, float], Sequence[object]],
        *,
        permanent: bool,
        confirm: bool,
        timeout: float | None,
    ) -> PutResult:
        runtime = self._running()
        try:
            async with asyncio.timeout(timeout):
                done = await self._finish(command)
                if done.ok and confirm:
                    await self._confirm(key, value_id)
        except (asyncio.CancelledError, TimeoutError, PutRefusedError):
            if not runtime.is_closed:
                runtime.call(lambda now: runtime.secure.cancel_put(key, value_id, now))
            raise
        if not done.ok and not permanent:
            raise StoredOnlyHereError(value_id)
        return PutResult(value_id, done.nodes, is_only_here=not done.ok)

    async def _confirm(self, key: InfoHash, value_id: int) -> None:
        """Ask whether other nodes have a value with this id, and no other one than ours.

        Raises:
            PutRefusedError: nobody has it, or somebody another one.
        """
        runtime = self._running()
        where = (Condition(Field.ID, value_id),)
        rows: list[Row] = []
        values: list[Value] = []

        def note(event: OperationEvent) -> None:
            if isinstance(event, RowsFound):
                rows.extend(event.rows)
            elif isinstance(event, ValuesFound):
                values.extend(event.values)

        def ask_others(op: int, now: float) -> Sequence[object]:
            query = Query((Field.ID,), where)
            effects = runtime.engine.query(op, key, query, now, is_remote=True)
            return runtime.secure.absorb(effects, now)

        await self._finish(ask_others, note=note)
        await self._finish(
            lambda op, now: runtime.secure.get(op, key, now, where=where, raw=True), note=note
        )
        ours = runtime.engine.storage.find(key, value_id)
        has_rival = ours is not None and not all(map(ours.value.content_equals, values))
        if not rows or has_rival:
            raise PutRefusedError

    async def _finish(
        self,
        command: Callable[[int, float], Sequence[object]],
        timeout: float | None = None,
        note: Callable[[OperationEvent], None] | None = None,
    ) -> Done:
        """Run an operation to its end; *note* sees its other events, failures are raised."""
        runtime = self._running()
        result: asyncio.Future[Done] = asyncio.get_running_loop().create_future()

        def sink(event: OperationEvent | DhtError) -> None:
            if result.done():
                return
            match event:
                case Done():
                    result.set_result(event)
                case OperationFailed(_, error):
                    result.set_exception(error)
                case DhtError():
                    result.set_exception(event)
                case _:
                    if note is not None:
                        note(event)

        op = runtime.begin(sink, command)
        try:
            async with asyncio.timeout(timeout):
                return await result
        except BaseException:
            runtime.cancel(op)
            raise

    def _close_inbox(self, inbox: Inbox[Item]) -> None:
        if inbox.is_open and self._runtime is not None:
            inbox.is_open = False
            self._runtime.cancel(inbox.op)

    def _drop_inbox(self, inbox: Inbox[Item]) -> None:
        if self._runtime is not None:
            self._runtime.soon(lambda: self._close_inbox(inbox))

    def _require_identity(self, identity: Identity | None) -> None:
        if identity is None and self._identity is None:
            raise NoIdentityError


def _values_in(event: OperationEvent) -> Items[Value]:
    return [(v.size, v) for v in event.values] if isinstance(event, ValuesFound) else None


def _rows_in(event: OperationEvent) -> Items[Row]:
    return [(0, row) for row in event.rows] if isinstance(event, RowsFound) else None


def _changes_in(event: OperationEvent) -> Items[ListenEvent]:
    match event:
        case ValuesFound(_, values):
            return [(value.size, Added(value)) for value in values]
        case ValuesExpired(_, values):
            return [(value.size, Expired(value)) for value in values]
        case _:
            return None
