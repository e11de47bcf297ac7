"""Targets for ICE, TURN and port mapping: everything that a peer, a server or a router may send."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from shoal.core import Address, DecodeError
from shoal.net import stun
from shoal.net.ice import IceConfig, IceDescription, IceEngine, binding
from shoal.net.ice.effects import Listen
from shoal.net.ice.framing import Deframer, frame
from shoal.net.mapping import http, igd, natpmp
from shoal.net.mapping.effects import AskOverHttp
from shoal.net.mapping.engine import MapperEngine
from shoal.net.turn.client import RelayTransport, TurnClient
from shoal.sim import SeededEntropy

if TYPE_CHECKING:
    from collections.abc import Callable

_HOST: Final = Address(bytes([10, 0, 0, 1]), 4001)
_PEER: Final = Address(bytes([10, 0, 0, 2]), 5001)
_ROUTER: Final = Address(bytes([192, 168, 1, 1]), 1900)
_TEXT: Final = (
    "5ac87e74\n25e685ff248bb72e127eef70\n"
    "Ha4e0003 1 TCP 2130706431 10.78.0.3 42817 typ host tcptype passive\n"
    "Ha4e0003 1 TCP 2130706175 10.78.0.3 9 typ host tcptype active\n"
    "Ra4e0001 1 TCP 16777215 10.78.0.1 51005 typ relay tcptype passive\n"
)
_CHECK: Final = binding.request(
    bytes(range(12)),
    binding.Credentials("l", "lp", "5ac87e74", "rp"),
    priority=1,
    is_controlling=True,
    tie_breaker=2,
    nominates=True,
)


def stun_message(data: bytes) -> None:
    """A message reads, and what was understood of it writes and reads the same."""
    with contextlib.suppress(DecodeError):
        message = stun.decode(data)
        again = stun.decode(stun.encode(message))
        assert again.attributes == message.attributes


def ice_text(data: bytes) -> None:
    """A description reads and writes to the same description."""
    with contextlib.suppress(DecodeError):
        description = IceDescription.parse(data)
        assert IceDescription.parse(description.to_text()) == description


def ice_link(data: bytes) -> None:
    """A stranger on a link says anything: nothing raises, and no frame is lost or made up."""
    engine = IceEngine(IceConfig(), SeededEntropy(1), is_controlling=False)
    effects = engine.gather([_HOST.ip], [], 0.0)
    socket = next(each.socket for each in effects if isinstance(each, Listen))
    engine.socket_opened(socket, _HOST, 0.0)
    engine.start(IceDescription.parse(_TEXT), 0.0)
    engine.link_accepted(socket, -1, _HOST, _PEER, 0.0)
    engine.receive(-1, data, 0.0)
    engine.receive_datagram(socket, data, _PEER, 0.0)
    engine.advance(1e6)
    whole = [bytes(each) for each in Deframer().feed(data)]
    pieces = Deframer()
    parts = [bytes(each) for byte in data for each in pieces.feed(bytes([byte]))]
    assert b"".join(whole) == b"".join(parts)


def turn_server(data: bytes) -> None:
    """A TURN server sends anything, in datagrams and on a stream."""
    for is_stream in (False, True):
        client = TurnClient(
            "u", "p", SeededEntropy(1), transport=RelayTransport.TCP, is_stream=is_stream
        )
        client.start(0.0)
        client.receive(data, 0.0)
        client.receive(data, 1.0)
        bound = client.binding(1)
        bound.start(0.0)
        bound.receive(data, 0.0)
        assert client.next_deadline() is None or not client.is_over


def router(data: bytes) -> None:
    """A router, or somebody in its place, sends anything over both protocols."""
    engine = MapperEngine(SeededEntropy(1), _ROUTER.ip)
    engine.start(0.0)
    engine.map(1, _HOST, 0.0, is_tcp=True)
    engine.receive(data, _ROUTER._replace(port=natpmp.PORT), 0.0)
    effects = engine.receive(data, _ROUTER, 0.0)
    effects += engine.receive(_answer(b""), _ROUTER, 0.0)
    for _ in range(4):
        asked = [each.id for each in effects if isinstance(each, AskOverHttp)]
        effects = [more for each in asked for more in engine.http_answered(each, data, 0.0)]
    engine.advance(1e6)
    for read in (http.decode, igd.read_result):
        with contextlib.suppress(DecodeError):
            read(data)


def _answer(target: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
        b"LOCATION: http://192.168.1.1:5000/" + target + b"\r\n\r\n"
    )


def _description() -> bytes:
    body = (
        b"<root><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1"
        b"</serviceType><controlURL>/c</controlURL></service></root>"
    )
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]]] = {
    "ice-link": (ice_link, lambda: [frame(_CHECK) + frame(b"\x16\x03\x01data") + frame(_CHECK)]),
    "ice-text": (ice_text, lambda: [_TEXT.encode()]),
    "router": (
        router,
        lambda: [
            _answer(b"x"),
            _description(),
            bytes.fromhex("00800000000000642c800001"),
            bytes.fromhex("00820000000000640fa1271100000e10"),
        ],
    ),
    "stun": (stun_message, lambda: [_CHECK, binding.success(bytes(12), _PEER, "pwd")]),
    "turn-server": (turn_server, lambda: [binding.failure(bytes(12), 401, "who?", "pwd")]),
}
