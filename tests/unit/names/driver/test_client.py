"""Our client, with our server and with servers that lie, stutter or are not there."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from shoal.core import AccountId
from shoal.names import NameClient, NameClientConfig, NameRecord
from shoal.names.driver import client as module
from shoal.names.errors import (
    AddressFormatError,
    BadNameAnswerError,
    ContradictoryAnswerError,
    InvalidNameError,
    NameNotFoundError,
    NameServerUnavailableError,
    NameTakenError,
    RegistrationPendingError,
    SignatureRefusedError,
    UnsignedRecordError,
    WrongKeyError,
    WrongSignatureError,
)
from shoal.names.wire import encode_record
from tests.unit.names.fake_chain import reserved
from tests.unit.names.people import account_of, forged, key_of, owner_of, record_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from tests.unit.names.driver.conftest import Serve
    from tests.unit.names.fake_chain import FakeChain

ALICE, BOB = record_of("alice"), record_of("bob")


class OddServer:
    """Answers whatever it is told to, by path; counts what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.is_silent = False
        self.url = ""

    def say(self, path: str, body: bytes | NameRecord, status: int = 200) -> None:
        """Answer *path* so from now on."""
        self.answers[path] = status, encode_record(body) if isinstance(body, NameRecord) else body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        self.asked.append(path)
        if self.is_silent:
            await reader.read()
        else:
            status, body = self.answers.get(path, (404, b"{}"))
            head = (
                f"HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
        writer.close()


@pytest.fixture
async def odd() -> AsyncIterator[OddServer]:
    """A server that is told what to answer."""
    made = OddServer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Time, to be turned forwards."""
    moment = [0.0]

    def forwards(seconds: float) -> None:
        moment[0] += seconds

    monkeypatch.setattr(module, "_now", lambda: moment[0])
    return forwards


@asynccontextmanager
async def client_of(url: str, **settings: object) -> AsyncIterator[NameClient]:
    """Open a client."""
    config = NameClientConfig(server=url, **settings)  # type: ignore[arg-type]
    async with NameClient(config) as client:
        yield client


async def test_register_and_resolve(serve: Serve, chain: FakeChain) -> None:
    """By name in any case, by id, by URI, at the server that an address names."""
    server = await serve()
    async with client_of(server.url) as client:
        key = key_of("alice")
        record = await client.register("Alice", key.public_key, key.sign, owner_of("alice"))
        assert record == ALICE
        assert chain.has(ALICE)
        plain = ALICE.with_owner(None)
        assert await client.lookup("ALICE", is_fresh=True) == plain
        assert await client.reverse(ALICE.account, is_fresh=True) == plain
        for address in ("alice", "jami:alice", f"ring:Alice@{server.url}"):
            resolved = await client.resolve(address)
            assert (resolved.account, resolved.record) == (ALICE.account, plain)
            assert resolved.server == server.url
    async with client_of("http://127.0.0.1:9") as client:
        resolved = await client.resolve("alice", server=server.url)
        assert resolved.account == ALICE.account
        resolved = await client.resolve(f"jami:{ALICE.account}")
        assert (resolved.account, resolved.record, resolved.server) == (ALICE.account, None, "")


async def test_what_is_not_there(serve: Serve) -> None:
    """Free names, nameless accounts, no names at all."""
    server = await serve()
    async with client_of(server.url) as client:
        with pytest.raises(NameNotFoundError, match="nobody"):
            await client.lookup("nobody")
        with pytest.raises(NameNotFoundError):
            await client.reverse(account_of("bob"))
        with pytest.raises(InvalidNameError):
            await client.lookup("a")
        with pytest.raises(AddressFormatError):
            await client.resolve("a b")
    with pytest.raises(AddressFormatError):
        NameClient(server="ftp://elsewhere")


async def test_refusals(serve: Serve, chain: FakeChain) -> None:
    """Typed as the server meant them."""
    chain.mine(reserved(BOB))
    server = await serve()
    async with client_of(server.url) as client:
        key = key_of("alice")
        with pytest.raises(NameTakenError):
            await client.register("bob", key.public_key, key.sign, owner_of("alice"))
        with pytest.raises(WrongSignatureError):
            await client.register("alice", key.public_key, key_of("bob").sign, owner_of("alice"))
        with pytest.raises(SignatureRefusedError):
            await client.register_record(forged(ALICE, signature=BOB.signature))
        assert (await client.lookup("bob")).account == BOB.account
        chain.go_away()
        with pytest.raises(RegistrationPendingError) as caught:
            await client.register_record(ALICE)
        assert caught.value.retry_after
        assert (await client.progress("Alice"))["state"] == "pending"
        assert (await client.status())["chain_id"] == 77


async def test_answers_are_remembered(odd: OddServer, clock: Callable[[float], None]) -> None:
    """For a day if found, for half a minute if not; for longer while the server is silent."""
    odd.say("/name/alice", ALICE)
    async with client_of(odd.url, timeout=0.3) as client:
        for _ in range(3):
            assert await client.lookup("alice") == ALICE.with_owner(None)
        await client.reverse(ALICE.account)
        assert odd.asked == ["/name/alice"]
        for _ in range(2):
            with pytest.raises(NameNotFoundError):
                await client.lookup("bob")
        assert odd.asked == ["/name/alice", "/name/bob"]
        odd.say("/name/bob", BOB)
        clock(31)
        assert (await client.lookup("bob")).account == BOB.account
        clock(24 * 3600)
        odd.is_silent = True
        assert (await client.lookup("alice")).account == ALICE.account  # it was true, so it is
        with pytest.raises(NameServerUnavailableError):
            await client.lookup("alice", is_fresh=True)
        clock(31 * 24 * 3600)
        with pytest.raises(NameServerUnavailableError, match="in time"):
            await client.lookup("alice")


async def test_lies_are_noticed(odd: OddServer) -> None:
    """And never remembered."""
    bob = account_of("bob")
    async with client_of(odd.url) as client:
        odd.say("/name/alice", forged(ALICE, account=bob))
        with pytest.raises(WrongKeyError):
            await client.lookup("alice")
        odd.say("/name/alice", forged(BOB, name="alice"))
        with pytest.raises(WrongSignatureError):
            await client.lookup("alice")
        odd.say("/name/alice", forged(ALICE, signature=b""))
        with pytest.raises(UnsignedRecordError):
            await client.lookup("alice")
        odd.say(f"/addr/{bob}", b'{"name":"alice"}')
        odd.say("/name/alice", ALICE)
        with pytest.raises(ContradictoryAnswerError):
            await client.reverse(bob)
        odd.say(f"/addr/{bob}", b'{"name":"nobody"}')
        with pytest.raises(ContradictoryAnswerError):
            await client.reverse(bob)
        assert (await client.lookup("alice")).account == ALICE.account


async def test_unsigned_records_where_allowed(odd: OddServer) -> None:
    """Old names of ns.jami.net have no signature."""
    odd.say("/name/alice", forged(ALICE, signature=b"", public_key=b""))
    async with client_of(odd.url, allow_unsigned=True) as client:
        record = await client.lookup("alice")
        assert not record.is_signed


async def test_nonsense(odd: OddServer) -> None:
    """Other programs, endless answers, redirections, nobody at all."""
    async with client_of(odd.url, timeout=5.0) as client:
        odd.say("/name/alice", b"<html>")
        with pytest.raises(BadNameAnswerError):
            await client.lookup("alice")
        odd.say("/name/alice", b" " * (2 * 1024 * 1024))
        with pytest.raises(BadNameAnswerError, match="more than"):
            await client.lookup("alice")
        odd.say("/name/alice", b"", 302)
        with pytest.raises(BadNameAnswerError):
            await client.lookup("alice")
        odd.say("/healthz", b"[]")
        with pytest.raises(BadNameAnswerError):
            await client.status()
        odd.say("/name/alice", b"{}", 502)
        with pytest.raises(NameServerUnavailableError):
            await client.lookup("alice")
        with pytest.raises(NameServerUnavailableError, match="no answer"):
            await client.lookup("alice", server="http://127.0.0.1:9")


async def test_success_is_remembered(odd: OddServer) -> None:
    """Who has just registered need not look."""
    odd.say("/name/alice", json.dumps({"success": True}).encode())
    async with client_of(odd.url) as client:
        await client.register_record(ALICE)
        assert await client.lookup("alice") == ALICE.with_owner(None)
        assert (await client.reverse(AccountId(ALICE.account))).name == "alice"
    assert odd.asked == ["/name/alice"]


async def test_tls(serve: Serve, certificate: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """HTTPS to a server whose certificate is trusted, and to no other."""
    for_server, for_client = certificate
    server = await serve(tls=for_server)
    async with NameClient(server=server.url, tls=for_client) as client:
        assert (await client.status())["status"] == "ok"
    async with NameClient(server=server.url) as client:
        with pytest.raises(NameServerUnavailableError):
            await client.status()
