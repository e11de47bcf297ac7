"""The proxy server on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from shoal.core import InfoHash
from shoal.crypto.keys import PrivateKey
from shoal.crypto.webpush import decrypt_push
from shoal.dht.errors import BindError, PortTakenError, StateFileError
from shoal.dht.proxy import ProxyServerConfig, wire
from shoal.dht.proxy.driver import ProxyServer, protocol, push_sender
from shoal.dht.value import Value
from tests.unit.dht.proxy.fake_node import NODE_ID, FakeNode
from tests.unit.dht.proxy.gateway import Gateway
from tests.unit.dht.proxy.raw_http import (
    Answer,
    ask,
    read_answer,
    read_chunk,
    read_head,
    request_bytes,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    Serve = Callable[..., Awaitable[ProxyServer]]

VECTORS = Path(__file__).parents[4] / "vectors" / "proxy" / "server-2.4.12.json"
KEY = InfoHash.of(b"foo")
PATH = f"/key/{KEY}"
HELLO = Value(b"hello", id=5)
HELLO_JSON = b'{"data":"aGVsbG8=","id":"5","type":0}'


async def until(look: Callable[[], object]) -> None:
    """Let the loop turn until a state is reached."""
    async with asyncio.timeout(20.0):
        while not look():  # noqa: ASYNC110 - states of several objects, none of which has events
            await asyncio.sleep(0.001)


class Stream:
    """A listen stream, read chunk by chunk."""

    def __init__(self, port: int, path: str = f"{PATH}/listen") -> None:
        self.port = port
        self.path = path

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(request_bytes("GET", self.path))
        self.head = await read_head(self.reader)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)

    async def next(self) -> bytes:
        """Return the next chunk, empty at the end."""
        async with asyncio.timeout(20.0):
            return await read_chunk(self.reader)


# As Debian's server.


async def test_answers_as_debians_server(serve: Serve) -> None:
    """Status, headers and fixed bodies of what 2.4.12 was seen to answer."""
    server = await serve(push_gateway="http://127.0.0.1:9")
    # Where the reference answers 500, or makes something of nonsense, ours says what is wrong;
    # routes and methods of 4.x are there, and browsers may ask for options anywhere.
    ours = {
        ("POST", "[]"): 400,
        ("POST", "5"): 400,
        ("POST", '"x"'): 400,
        ("POST", "null"): 400,
        ("POST", '{"data":5}'): 400,
        ("POST", '{"data":"!!!"}'): 400,
        ("POST", '{"id":"abc"}'): 400,
        ("POST", '{"id":-4}'): 400,
        ("POST", '{"type":"x","data":"aGk="}'): 400,
        ("POST", '{"type":70000,"data":"aGk="}'): 400,
        ("POST", '{"data":"aGVsbG8=","id":46} trailing'): 400,
        ("SUBSCRIBE", "[]"): 400,
        ("UNSUBSCRIBE", "{}"): 400,
    }
    for entry in json.loads(VECTORS.read_text()):
        method, path, body = entry["method"], entry["path"], entry["body"]
        if path.endswith(("/listen", "/pingPush")) or not entry["answer"]:
            continue
        expected = Answer.parse(entry["answer"].encode())

        answer = await ask(server.port, method, path, body.encode())

        if method == "OPTIONS" and path != "/":
            assert answer.status == 200, entry
            continue
        assert answer.status == ours.get((method, body), expected.status), entry
        if answer.status != expected.status:
            continue
        theirs = expected.headers.keys() - {"Connection", "Transfer-Encoding", "Content-Length"}
        assert {name: answer.headers[name] for name in theirs} == {
            name: expected.headers[name] for name in theirs
        }, entry
        if expected.status != 200:
            assert answer.body == expected.body, entry


async def test_unknown_routes_end_the_connection(serve: Serve) -> None:
    """501 and nothing else, as the reference."""
    server = await serve()

    answer = await ask(server.port, "PUT", PATH, b"{}")

    assert (answer.status, answer.body) == (501, b"")
    assert answer.headers == {"Connection": "close", "Content-Length": "0"}


async def test_info_and_stats(serve: Serve) -> None:
    """What the node is, who asks, and what the server did."""
    server = await serve()
    await ask(server.port, "POST", PATH, b'{"data":"aGVsbG8=","permanent":true}')

    info = json.loads((await ask(server.port, "GET", "/")).body)
    stats = json.loads((await ask(server.port, "GET", "/node/stats")).body)

    assert info["node_id"] == str(NODE_ID)
    assert info["public_ip"] == "127.0.0.1"
    assert info["ipv4"]["good"] == 3
    assert info["port_ipv4"] == 4222
    assert stats["totalPermanentPuts"] == 1
    assert stats["nodeInfo"]["node_id"] == str(NODE_ID)
    assert stats["requestRate"] > 0
    assert stats.keys() >= {"serverStartTime", "lastUpdated", "androidPush", "listenCount"}


# Gets and puts.


async def test_put_and_get(serve: Serve, node: FakeNode) -> None:
    """A value goes in and comes out, raw: a proxy's node neither decrypts nor verifies."""
    server = await serve()

    put = await ask(server.port, "POST", PATH, HELLO_JSON)
    got = await ask(server.port, "GET", "/foo")

    assert (put.status, put.body) == (200, HELLO_JSON + b"\n")
    assert node.values == {KEY: {5: HELLO}}
    assert (got.status, got.body) == (200, HELLO_JSON + b"\n")
    assert node.raw == [True]


async def test_put_without_id(serve: Serve, node: FakeNode) -> None:
    """The server draws one; zero is none."""
    server = await serve()

    answer = await ask(server.port, "POST", PATH, b'{"data":"aGVsbG8=","id":"0"}')

    (value,) = node.values[KEY].values()
    assert value.id != 0
    assert json.loads(answer.body)["id"] == str(value.id)


async def test_permanent_put_refreshes(serve: Serve, node: FakeNode) -> None:
    """Put without id and with equal content twice, it is one value, put once."""
    server = await serve()
    body = b'{"data":"aGVsbG8=","permanent":true}'

    first = await ask(server.port, "POST", PATH, body)
    node.values.clear()
    second = await ask(server.port, "POST", PATH, body)

    assert first.status == second.status == 200
    assert first.body == second.body
    assert node.values == {}
    assert len(node.permanent) == 1


@pytest.mark.parametrize("permanent", [False, True])
async def test_put_that_fails(serve: Serve, node: FakeNode, *, permanent: bool) -> None:
    """502 when no other node took it; a permanent one goes on nevertheless."""
    server = await serve()
    node.is_alone = True

    body = json.dumps({"data": "aGVsbG8=", "id": "5"} | ({"permanent": True} if permanent else {}))
    answer = await ask(server.port, "POST", PATH, body.encode())

    assert (answer.status, answer.body) == (502, wire.PUT_FAILED)
    assert node.permanent == ({(KEY, 5)} if permanent else set())


@pytest.mark.parametrize("extra", [{}, {"permanent": True}])
async def test_put_too_large(serve: Serve, node: FakeNode, extra: dict[str, Any]) -> None:
    """More than nodes store is refused before any is asked; what fits, fits."""
    server = await serve()
    for size, status in ((65_536, 200), (65_537, 413)):
        data = base64.b64encode(bytes(size)).decode()
        body = json.dumps({"data": data, "id": "5"} | extra).encode()

        answer = await ask(server.port, "POST", PATH, body)

        assert answer.status == status
    assert len(node.values[KEY][5].data) == 65_536


async def test_sign_and_encrypt(serve: Serve, node: FakeNode) -> None:
    """With an identity the node signs and encrypts for its clients; without one it can't."""
    server = await serve()
    to = "11" * 20
    encrypt = json.dumps({"data": "aGVsbG8=", "id": "5", "to": to}).encode()
    for path, body in (("sign", HELLO_JSON), ("encrypt", encrypt)):
        assert (await ask(server.port, "POST", f"{PATH}/{path}", body)).status == 501
    methods = "Access-Control-Allow-Methods"
    assert (await ask(server.port, "OPTIONS", PATH)).headers[
        methods
    ] == "OPTIONS, GET, POST, LISTEN"

    node.identity = InfoHash.of(b"identity")

    assert (await ask(server.port, "POST", f"{PATH}/sign", HELLO_JSON)).status == 200
    assert node.values[KEY][5].user_type == "signed"
    assert (await ask(server.port, "POST", f"{PATH}/encrypt", encrypt)).status == 200
    assert node.values[KEY][5].recipient == InfoHash.from_hex(to)
    lost = await ask(server.port, "POST", f"{PATH}/encrypt", HELLO_JSON)
    assert (lost.status, lost.body) == (400, wire.NO_DESTINATION)
    for path in ("sign", "encrypt"):
        assert (await ask(server.port, "POST", f"{PATH}/{path}", b"x")).status == 400
    assert (await ask(server.port, "OPTIONS", PATH)).headers[methods].endswith(", SIGN, ENCRYPT")


async def test_get_that_takes_long(serve: Serve, node: FakeNode) -> None:
    """Values are sent as they are found; whoever leaves, ends the get."""
    server = await serve()
    node.is_stalled = True
    node.values[KEY] = {5: HELLO}

    async with Stream(server.port, PATH) as stream:
        assert stream.head.headers["Transfer-Encoding"] == "chunked"
        assert await stream.next() == HELLO_JSON + b"\n"
        assert node.stalled == 1

    await until(lambda: node.stalled == 0)


# Listening.


async def test_listen(serve: Serve, node: FakeNode) -> None:
    """What is there, what comes and what goes, a line each."""
    server = await serve()
    node.values[KEY] = {5: HELLO}
    async with Stream(server.port) as stream:
        assert stream.head.status == 200
        assert stream.head.headers["Content-Type"] == "application/json"
        assert await stream.next() == HELLO_JSON + b"\n"

        await node.put(KEY, Value(b"x", id=6))
        assert await stream.next() == b'{"data":"eA==","id":"6","type":0}\n'
        node.expire(KEY, 5)
        assert await stream.next() == b'{"data":"aGVsbG8=","expired":true,"id":"5","type":0}\n'
        assert server.engine.counts()["listenCount"] == 1

    await until(lambda: server.engine.counts()["listenCount"] == 0)
    await until(lambda: node.ended == ["listen"])


async def test_silence_is_filled(serve: Serve) -> None:
    """An empty object now and then keeps the connection from being forgotten on its way."""
    server = await serve(heartbeat_interval=0.01)
    async with Stream(server.port) as stream:
        assert [await stream.next() for _ in range(3)] == [b"{}\n"] * 3


async def test_close_with_open_streams(serve: Serve, node: FakeNode) -> None:
    """Streams end properly, and at once; the node's listens end with them."""
    server = await serve()
    port = server.port
    async with Stream(server.port) as one, Stream(server.port) as two:
        async with asyncio.timeout(2.0):
            await server.close()

        assert await one.next() == b""
        assert await two.next() == b""
        assert await one.reader.read() == b""
    assert node.ended == ["listen", "listen"]
    with pytest.raises(ConnectionRefusedError):
        await ask(port, "GET", "/")
    await server.close()


async def test_close_with_a_request_under_way(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request without end does not keep the server open."""
    monkeypatch.setattr(protocol, "CLOSE_GRACE", 0.05)
    server = await serve(request_timeout=600.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request_bytes("POST", PATH, HELLO_JSON)[:-5])
    await until(lambda: server.engine.stats.requests == 1)

    async with asyncio.timeout(2.0):
        await server.close()

    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_slow_reader_is_dropped(serve: Serve, node: FakeNode) -> None:
    """Who doesn't read is disconnected when too much waits for it; others don't notice."""
    server = await serve({"stream_backlog": 100_000})
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", server.port))
        lazy.sendall(request_bytes("GET", f"{PATH}/listen"))
        await until(lambda: server.engine.streams.used == 1)
        async with asyncio.timeout(20.0):
            number = 0
            while server.engine.streams.used:
                number += 1
                await node.put(KEY, Value(bytes(60_000), id=number))
                await asyncio.sleep(0)
    assert node.ended == ["listen"]


# Bounds.


async def test_streams_are_bounded(serve: Serve) -> None:
    """429 for a client that has its share, 503 when all are taken; what ends makes room."""
    server = await serve({"streams_per_client": 1})
    async with Stream(server.port):
        refused = await ask(server.port, "GET", f"{PATH}/listen")
        assert (refused.status, refused.body) == (429, wire.TOO_MANY)
    await until(lambda: server.engine.streams.used == 0)
    async with Stream(server.port) as again:
        assert again.head.status == 200

    full = await serve({"streams": 0})
    assert (await ask(full.port, "GET", f"{PATH}/listen")).status == 503


async def test_operations_are_bounded(serve: Serve, node: FakeNode) -> None:
    """So many gets and puts of a client at a time."""
    server = await serve({"operations_per_client": 1})
    node.is_stalled = True
    async with Stream(server.port, PATH):
        assert (await ask(server.port, "GET", PATH)).status == 429
        assert (await ask(server.port, "GET", "/node/info")).status == 200


async def test_puts_and_subscriptions_are_bounded(serve: Serve) -> None:
    """Those that stay are counted per client."""
    server = await serve({"puts_per_client": 1, "subscriptions_per_client": 1})
    put = b'{"data":"aGVsbG8=","id":"%d","permanent":true}'
    subscribe = b'{"key":"%d"}'

    puts = [(await ask(server.port, "POST", PATH, put % i)).status for i in (1, 2, 1)]
    subscriptions = [
        (await ask(server.port, "SUBSCRIBE", PATH, subscribe % i)).status for i in (1, 2, 1)
    ]

    assert puts == [200, 429, 200]
    assert subscriptions == [200, 429, 200]


async def test_connections_are_bounded(serve: Serve) -> None:
    """A client with too many connections gets no more."""
    server = await serve({"connections_per_client": 1})
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await until(lambda: server.connections == 1)

    assert (await ask(server.port, "GET", "/")).status == 0

    writer.close()
    await writer.wait_closed()
    await until(lambda: server.connections == 0)
    assert (await ask(server.port, "GET", "/")).status == 200


@pytest.mark.parametrize("headers", [(), ("Transfer-Encoding: chunked",)])
async def test_body_too_large(serve: Serve, headers: tuple[str, ...]) -> None:
    """Whether it was announced or not; the connection ends, as the rest isn't wanted."""
    server = await serve({"body_max": 1000})
    if headers:
        data = request_bytes("GET", PATH, headers=headers).replace(b"GET", b"POST", 1)
        data += b"%x\r\n" % 2000 + bytes(2000) + b"\r\n"
    else:
        data = request_bytes("POST", PATH, bytes(2000))
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)

    answer = await read_answer(reader)

    assert (answer.status, answer.body) == (413, wire.TOO_LARGE)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_body_too_slow(serve: Serve) -> None:
    """Who announces a body and doesn't send it is not waited for."""
    server = await serve(request_timeout=0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request_bytes("POST", PATH, HELLO_JSON)[:-5])

    answer = await read_answer(reader)

    assert (answer.status, answer.body) == (408, wire.TIMED_OUT)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"G"])
async def test_head_too_slow(serve: Serve, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    """Who connects and says nothing, or never ends, is disconnected."""
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 0.05)
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head)

    async with asyncio.timeout(10.0):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""

    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_head_of_a_later_request_too_slow(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same holds on a connection that has been of use."""
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 0.05)
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request_bytes("GET", "/"))
    assert (await read_answer(reader)).status == 200
    writer.write(b"GET /")

    async with asyncio.timeout(10.0):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""

    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_not_http(serve: Serve) -> None:
    """Something else than HTTP gets 400, and the server lives on."""
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")

    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")

    writer.close()
    await writer.wait_closed()
    assert (await ask(server.port, "GET", "/")).status == 200


async def test_several_requests_on_one_connection(serve: Serve) -> None:
    """Sent at once, they are answered in order."""
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request_bytes("POST", PATH, HELLO_JSON) + request_bytes("GET", PATH))

    assert (await read_answer(reader)).status == 200
    assert (await read_answer(reader)).body == HELLO_JSON + b"\n"

    writer.close()
    await writer.wait_closed()


# Push.


def subscription(**fields: str | bool) -> bytes:
    """Return the body of a SUBSCRIBE."""
    return json.dumps({"key": "token", "client_id": "c", "session_id": "s"} | fields).encode()


async def test_gorush(serve: Serve, node: FakeNode) -> None:
    """A value at a key that is subscribed to reaches the gateway; after the end, none does."""
    async with Gateway() as gateway:
        server = await serve(push_gateway=gateway.url + "/")
        body = subscription(platform="android")
        first = await ask(server.port, "SUBSCRIBE", PATH, body)
        await node.put(KEY, HELLO)

        delivered = await gateway.next()

        assert (first.status, first.body) == (200, b"{}\n")
        assert delivered.path == "/api/push"
        assert delivered.headers["content-type"] == "application/json"
        assert delivered.notification["tokens"] == ["token"]
        assert delivered.notification["data"]["ids"] == "5"
        again = await ask(server.port, "SUBSCRIBE", PATH, body)
        refresh = await ask(server.port, "SUBSCRIBE", PATH, subscription(refresh=True))
        assert again.body == HELLO_JSON + b"\n"
        assert refresh.body == b"{}\n"

        ended = await ask(server.port, "UNSUBSCRIBE", PATH, subscription())
        assert (ended.status, ended.body) == (200, b"")
        await until(lambda: node.ended == ["listen"])
        pong = await ask(server.port, "POST", "/node/pingPush", body)
        assert pong.status == 200
        assert (await gateway.next()).notification["data"] == {"pong": True, "to": "c"}
        await until(lambda: server.pushes.stats.delivered == 2)


@pytest.mark.parametrize("method", ["SUBSCRIBE", "UNSUBSCRIBE"])
async def test_subscription_without_token(serve: Serve, method: str) -> None:
    """Nobody could be notified."""
    server = await serve()
    for body, expected in ((b"{}", wire.NO_TOKEN), (b"", wire.INCORRECT_JSON)):
        answer = await ask(server.port, method, PATH, body)
        assert (answer.status, answer.body) == (400, expected)


async def test_unified_push(serve: Serve, node: FakeNode) -> None:
    """In clear, and encrypted so that only the subscriber can read it."""
    key, secret = PrivateKey.generate_ec(256), bytes(range(16))
    point = key.public_key.spki[-65:]
    topic = "|".join(base64.urlsafe_b64encode(part).decode() for part in (point, secret))
    async with Gateway() as gateway:
        server = await serve(is_private_push=True)
        for name, wish in (("clear", ""), ("sealed", topic)):
            body = subscription(key=f"{gateway.url}/{name}", platform="unifiedpush", topic=wish)
            await ask(server.port, "SUBSCRIBE", PATH, body)
        await node.put(KEY, HELLO)

        delivered = {(push := await gateway.next()).path: push for _ in range(2)}

    clear, sealed = delivered["/clear"], delivered["/sealed"]
    assert json.loads(clear.body)["key"] == str(KEY)
    assert clear.headers["ttl"] == sealed.headers["ttl"] == "86400"
    assert clear.headers["urgency"] == "high"
    assert sealed.headers["content-encoding"] == "aes128gcm"
    assert json.loads(decrypt_push(sealed.body, key, secret))["ids"] == "5"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/x",
        "http://localhost:{port}/x",
        "http://[::1]:{port}/x",
        "http://[::ffff:127.0.0.1]:{port}/x",
        "http://0.0.0.0:{port}/x",
        "http://10.0.0.1/x",
        "http://169.254.169.254/latest/meta-data",
        "ftp://192.0.2.1/x",
        "file:///etc/passwd",
        "not a URL",
        "http://" + "x" * 5000,
    ],
)
async def test_endpoints_that_are_not_public(serve: Serve, url: str) -> None:
    """Strangers can't make the server speak to what only it can reach."""
    async with Gateway() as gateway:
        server = await serve()
        body = subscription(key=url.format(port=gateway.port), platform="unifiedpush")

        await ask(server.port, "POST", "/node/pingPush", body)

        stats = server.pushes.stats
        await until(lambda: stats.forbidden + stats.failed)
        assert stats.delivered == 0
        assert gateway.is_untouched


async def test_public_endpoint_is_pinned(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the address that was looked at, under the name that was given."""
    async with Gateway() as gateway:
        server = await serve()

        async def resolved(*_: object, **__: object) -> list[Any]:
            return [(0, 0, 0, "", ("127.0.0.1", gateway.port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
        monkeypatch.setattr(push_sender, "_is_public", lambda _: True)
        url = f"http://push.example:{gateway.port}/x"

        await ask(
            server.port,
            "POST",
            "/node/pingPush",
            subscription(key=url, platform="unifiedpush"),
        )

        delivered = await gateway.next()
        assert delivered.headers["host"] == f"push.example:{gateway.port}"


async def test_pushes_are_bounded(serve: Serve) -> None:
    """What doesn't fit in the queue is dropped and counted."""
    server = await serve({"pushes_waiting": 1}, push_gateway="http://127.0.0.1:9")
    order = server.engine.ping_push(wire.decode_subscription(subscription()).target, 0.0)

    server.apply(order * 3)

    assert server.pushes.stats.dropped == 2


async def test_gateway_that_is_gone(serve: Serve) -> None:
    """A notification that can't be delivered is counted."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = await serve(push_gateway=f"http://127.0.0.1:{unused.getsockname()[1]}")

        await ask(server.port, "POST", "/node/pingPush", subscription())

        await until(lambda: server.pushes.stats.failed == 1)


# Life.


async def test_restart(serve: Serve, node: FakeNode, tmp_path: Path) -> None:
    """Permanent puts and subscriptions are taken up again."""
    state = tmp_path / "proxy"
    async with Gateway() as gateway:
        first = await serve(state=state, push_gateway=gateway.url)
        await ask(first.port, "POST", PATH, b'{"data":"aGVsbG8=","id":"5","permanent":true}')
        await ask(first.port, "SUBSCRIBE", PATH, subscription())
        await first.close()
        assert state.stat().st_mode & 0o077 == 0
        node.permanent.clear()
        node.values.clear()

        second = await serve(state=state, push_gateway=gateway.url)

        await until(lambda: node.permanent == {(KEY, 5)})
        assert node.values == {KEY: {5: HELLO}}
        assert (await gateway.next()).notification["data"]["ids"] == "5"
        assert second.engine.counts()["pushListenersCount"] == 1


async def test_withdrawn_when_over(serve: Serve, node: FakeNode) -> None:
    """What the engine ends, ends at the node."""
    server = await serve()
    await ask(server.port, "POST", PATH, b'{"data":"aGVsbG8=","id":"5","permanent":true}')
    assert node.permanent == {(KEY, 5)}
    deadline = 0.0
    while (later := server.engine.next_deadline()) is not None:
        deadline = later
        server.apply(server.engine.advance(deadline))

    assert node.permanent == set()


async def test_state_that_cannot_be_read(serve: Serve, tmp_path: Path) -> None:
    """A file of another kind is passed over; one that can't be opened is an error."""
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"\xc1")
    server = await serve(state=damaged)
    assert server.engine.stats.state_damaged == 1

    with pytest.raises(StateFileError):
        await serve(state=tmp_path)


async def test_port_taken(serve: Serve, node: FakeNode) -> None:
    """A typed error says so."""
    server = await serve()

    with pytest.raises(PortTakenError):
        await serve(port=server.port)
    with pytest.raises(BindError):
        await serve(host="192.0.2.1")


async def test_both_families(serve: Serve) -> None:
    """`::` takes IPv4 too, and IPv4 is seen as such."""
    server = await serve(host="::")

    info = json.loads((await ask(server.port, "GET", "/")).body)

    assert info["public_ip"] == "127.0.0.1"
    assert server.url == f"http://[::1]:{server.port}"


async def test_https(serve: Serve, certificate: tuple[Path, Path, ssl.SSLContext]) -> None:
    """With a certificate, clients that trust it are served, and plain HTTP isn't."""
    from shoal.dht.proxy.driver import tls_context  # noqa: PLC0415

    chain, key, trust = certificate
    server = await serve(tls=tls_context(chain, key))

    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=trust, server_hostname="localhost"
    )
    writer.write(request_bytes("GET", "/"))
    answer = await read_answer(reader)
    writer.close()
    await writer.wait_closed()

    assert answer.status == 200
    assert server.url.startswith("https://")
    assert (await ask(server.port, "GET", "/")).status == 0


async def test_trusted_proxies(serve: Serve) -> None:
    """Who the client is, says only who is trusted to."""
    forwarded = ("X-Forwarded-For: 192.0.2.7",)
    for trusted, expected in (((), "127.0.0.1"), (("127.0.0.1",), "192.0.2.7")):
        server = await serve(trusted_proxies=trusted)
        info = json.loads((await ask(server.port, "GET", "/", headers=forwarded)).body)
        assert info["public_ip"] == expected


def test_secure_by_default() -> None:
    """Unless told otherwise only this machine is served, and no address is believed."""
    config = ProxyServerConfig()

    assert config.host == "127.0.0.1"
    assert not config.is_private_push
    assert config.trusted_proxies == ()


async def test_small_chunks_are_sent_at_once(serve: Serve) -> None:
    """Nagle's algorithm is off; and TCP looks whether silent clients are still there."""
    server = await serve()
    async with Stream(server.port):
        (connection,) = server._http.state.connections  # noqa: SLF001 - no other way to its socket
        taken = connection.transport.get_extra_info("socket")

        assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert taken.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
