"""HTTP as it is spoken: by Jami, by browsers, by those who mean harm."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from shoal.names.driver import http
from shoal.names.errors import NameServerBindError
from shoal.names.wire import encode_registration
from tests.unit.names.driver.http_client import connected, reached
from tests.unit.names.fake_chain import reserved
from tests.unit.names.people import record_of

if TYPE_CHECKING:
    from tests.unit.names.driver.conftest import Serve
    from tests.unit.names.fake_chain import FakeChain

ALICE = record_of("alice")
POST = encode_registration(ALICE)


async def test_jamis_way(chain: FakeChain, serve: Serve) -> None:
    """One request per connection, which the server closes."""
    chain.mine(reserved(ALICE))
    server = await serve()
    async with connected(server.port) as client:
        answer = await client.get("/name/alice", headers="Connection: close\r\n")

        assert answer.status == 200
        assert answer.json["addr"] == f"0x{ALICE.account}"
        assert answer.headers["connection"] == "close"
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["date"].endswith("GMT")
        assert await client.is_closed()


async def test_keep_alive_and_pipelining(chain: FakeChain, serve: Serve) -> None:
    """Many requests on one connection, several at once, answered in order."""
    chain.mine(reserved(ALICE))
    server = await serve()
    async with connected(server.port) as client:
        for _ in range(3):
            assert (await client.get("/name/alice")).status == 200
        for target in ("/name/alice", "/name/nobody", f"/addr/{ALICE.account}"):
            client.ask(target)
        assert [(await client.answer()).status for _ in range(3)] == [200, 404, 200]


async def test_answers_keep_their_order(chain: FakeChain, serve: Serve) -> None:
    """A lookup behind a registration that waits for the chain waits with it."""
    server = await serve()
    async with connected(server.port) as client:
        client.ask("/name/alice", method="POST", body=POST)
        client.ask("/name/nobody", headers="Connection: close\r\n")

        assert (await client.answer()).json == {"success": True}
        assert (await client.answer()).status == 404
        assert await client.is_closed()


async def test_head(chain: FakeChain, serve: Serve) -> None:
    """The length of what GET would bring, and nothing behind it."""
    chain.mine(reserved(ALICE))
    server = await serve()
    async with connected(server.port) as client:
        full = await client.get("/name/alice")
        head = await client.get("/name/alice", method="HEAD")
        assert head.headers["content-length"] == str(len(full.body))
        assert (await client.get("/healthz")).status == 200  # nothing was left over


async def test_a_request_in_pieces(serve: Serve) -> None:
    """However it is cut."""
    server = await serve()
    async with connected(server.port) as client:
        request = (
            b"POST /name/alice HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(POST) + POST
        )
        for start in range(0, len(request), 97):
            client.send(request[start : start + 97])
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.answer()).json == {"success": True}


async def test_chunks_and_expectations(serve: Serve) -> None:
    """As curl sends long bodies."""
    server = await serve()
    async with connected(server.port) as client:
        client.send(
            b"POST /name/alice HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert (await client.answer(has_body=False)).status == 100
        client.send(b"%x\r\n" % len(POST) + POST + b"\r\n0\r\n\r\n")
        assert (await client.answer()).json == {"success": True}


async def test_old_clients(serve: Serve) -> None:
    """HTTP/1.0 ends with the answer."""
    server = await serve()
    async with connected(server.port) as client:
        client.send(b"GET /name/alice HTTP/1.0\r\n\r\n")
        assert (await client.answer()).status == 404
        assert await client.is_closed()


@pytest.mark.parametrize(
    "request_",
    [
        b"this is no HTTP\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",  # TLS
        b"GET /name/alice HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /" + b"x" * (http.HEAD_SIZE_MAX + 10) + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * (http.REQUEST_SIZE_MAX + 10) + b"\r\n\r\n",
        b"POST /name/a HTTP/1.1\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20000,
        b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(20000)) + b"\r\n",
    ],
)
async def test_what_is_not_taken(serve: Serve, request_: bytes) -> None:
    """A 400, which Jami takes as a bad request and not as "taken", and the end."""
    server = await serve()
    async with connected(server.port) as client:
        client.send(request_)
        answer = await client.answer()
        assert answer.status == 400
        assert answer.headers["connection"] == "close"
        assert await client.is_closed()
    assert server.http.stats.malformed == 1


async def test_offers_of_other_protocols(serve: Serve) -> None:
    """Are not taken up: the answer comes in HTTP/1.1, and ends the connection."""
    server = await serve()
    async with connected(server.port) as client:
        offer = (
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
        )
        answer = await client.get("/name/alice", headers=offer)
        assert answer.status == 404
        assert await client.is_closed()


async def test_too_many_requests_in_flight(serve: Serve, chain: FakeChain) -> None:
    """Behind an answer that is due: the connection ends."""
    chain.is_slow.set()
    server = await serve()
    async with connected(server.port) as client:
        client.ask("/name/alice", method="POST", body=POST)
        for _ in range(http.PIPELINED_MAX):
            client.ask("/name/nobody")
        assert await client.is_closed()


async def test_who_is_late_is_left(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a request, or nothing at all, for too long."""
    for name in ("REQUEST_TIME_MAX", "IDLE_TIME_MAX", "SWEEP_INTERVAL"):
        monkeypatch.setattr(http, name, 0.01)
    server = await serve()
    async with connected(server.port) as silent, connected(server.port) as slow:
        slow.send(b"GET /name/al")
        assert await silent.is_closed()
        assert await slow.is_closed()
    assert server.http.stats.late == 2


async def test_who_waits_for_us_is_not_late(
    serve: Serve, chain: FakeChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an answer is due the delay is ours."""
    for name in ("REQUEST_TIME_MAX", "IDLE_TIME_MAX", "SWEEP_INTERVAL"):
        monkeypatch.setattr(http, name, 0.01)
    chain.is_slow.set()
    server = await serve(answer_patience=0.3)
    async with connected(server.port) as client:
        assert (await client.post("/name/alice", POST)).status == 503


async def test_connections_have_shares(serve: Serve) -> None:
    """One client's, and all in all."""
    server = await serve({"connections": 3, "connections_per_client": 2})
    async with connected(server.port) as one, connected(server.port) as two:
        assert (await one.get("/healthz")).status == 200
        assert (await two.get("/healthz")).status == 200
        async with connected(server.port) as three:
            assert await three.is_closed()
        assert server.http.stats.refused == 1
    async with connected(server.port) as again:
        assert (await again.get("/healthz")).status == 200


async def test_clients_behind_a_proxy(serve: Serve) -> None:
    """Their addresses count if we know the proxy; nobody else may name one."""
    limits = {"lookups_burst": 1, "lookups_per_second": 0.001, "connections_per_client": 1}
    trusting = await serve(limits, trusted_proxies=("127.0.0.1",))
    strict = await serve(limits, folder="strict")

    async def ask(port: int, forwarded: str) -> int:
        async with connected(port) as client:
            header = f"X-Forwarded-For: {forwarded}\r\n"
            return (await client.get("/name/alice", headers=header)).status

    assert await ask(trusting.port, "198.51.100.1") == 404
    assert await ask(trusting.port, "198.51.100.2") == 404
    assert await ask(trusting.port, "203.0.113.9, 198.51.100.1, 127.0.0.1") == 503
    assert await ask(strict.port, "198.51.100.1") == 404
    assert await ask(strict.port, "198.51.100.2") == 503


async def test_a_clean_end(serve: Serve, chain: FakeChain) -> None:
    """Idle connections end; what is due is answered first."""
    chain.is_slow.set()
    server = await serve(answer_patience=0.2)
    async with connected(server.port) as idle, connected(server.port) as busy:
        await idle.get("/healthz")
        busy.ask("/name/alice", method="POST", body=POST)

        async def is_under_way() -> bool:
            return len(server.engine.registrations) > 0

        await reached(is_under_way)
        closing = asyncio.ensure_future(server.close())
        assert (await busy.answer()).status == 503
        assert await idle.is_closed()
        assert await busy.is_closed()
        await closing


async def test_ports_that_cannot_be_had(serve: Serve) -> None:
    """Said before anything is served; the folder is free again."""
    server = await serve()
    with pytest.raises(NameServerBindError, match="taken"):
        await serve(folder="other", port=server.port)
    with pytest.raises(NameServerBindError, match="cannot listen"):
        await serve(folder="other", host="203.0.113.1")
    await serve(folder="other")


async def test_random_bytes(serve: Serve) -> None:
    """Never an answer of 500, and the next client is served."""
    server = await serve()
    chance = random.Random(7)  # noqa: S311 - the same each time
    good = b"GET /name/alice HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for _ in range(200):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        async with connected(server.port) as client:
            client.send(bytes(data))
            client.writer.write_eof()
            head = await client.reader.read()
            assert not head or int(head.split()[1]) < 500, data
    async with connected(server.port) as client:
        assert (await client.get("/name/alice")).status == 404
    assert not server.http.open_connections or server.http.open_connections == 1


async def test_a_client_that_reads_late(chain: FakeChain, serve: Serve) -> None:
    """It is not read from while it does not read; then it gets everything, in order."""
    chain.mine(reserved(ALICE))
    server = await serve({"lookups_burst": 10**6})
    count = 6000
    async with connected(server.port, limit=2**16) as client:
        for number in range(count):
            client.ask("/name/alice" if number % 2 else "/name/nobody")
        for number in range(count):
            assert (await client.answer()).status == (200 if number % 2 else 404)
