"""Gateway devices: searches, descriptions, calls; and routers that point elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, DecodeError
from shoal.net.mapping import igd
from tests.unit.net.mapping import samples
from tests.unit.net.mapping.samples import ROUTER, SERVICE

SOURCE = Address(samples.GATEWAY, 1900)


def test_a_search() -> None:
    """UPnP Device Architecture 1.1 section 1.3.2."""
    assert igd.search(igd.TARGETS[0]) == (
        b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\n'
        b"MX: 2\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n"
    )  # fmt: skip


def test_an_answer() -> None:
    """It says where the description is."""
    assert igd.read_answer(samples.ANSWER, SOURCE) == (ROUTER, "/rootDesc.xml")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"200 OK", b"404 No"),
        (b"InternetGatewayDevice:1\r\nUSN", b"MediaServer:1\r\nUSN"),
        (b"http://192.168.1.1", b"http://192.168.1.2"),  # another machine
        (b"http://192.168.1.1", b"http://router.example"),
        (b"http://", b"https://"),
        (b"http://", b"file://"),
        (b":5000", b":99999"),
        (b"/rootDesc.xml", b"/root Desc.xml"),
        (b"/rootDesc.xml", b"/" + b"x" * 600),
        (b"LOCATION", b"PLACE"),
    ],
)
def test_answers_that_are_not_followed(old: bytes, new: bytes) -> None:
    """Nobody can make us send requests to somebody else."""
    with pytest.raises(DecodeError):
        igd.read_answer(samples.ANSWER.replace(old, new), SOURCE)


def test_a_description() -> None:
    """The service that maps ports, wherever it is nested; relative and absolute URLs."""
    expected = igd.Control(SERVICE, ROUTER, "/ctl/IPConn")
    assert igd.read_description(samples.description(), ROUTER, "/rootDesc.xml") == expected
    absolute = samples.description("http://192.168.1.1:5001/x?y=1")
    found = igd.read_description(absolute, ROUTER, "/")
    assert found == igd.Control(SERVICE, ROUTER._replace(port=5001), "/x?y=1")
    based = samples.description("c", base="http://192.168.1.1:8080/a/b")
    assert igd.read_description(based, ROUTER, "/").target == "/a/c"
    second = samples.description(service=igd.SERVICES[0])
    assert igd.read_description(second, ROUTER, "/").has_any_port


@pytest.mark.parametrize(
    "data",
    [
        samples.description("http://10.0.0.1/x"),
        samples.description("http://[bad/x"),
        samples.description(service="urn:other"),
        samples.description(base="http://10.0.0.1/"),
        samples.response("<root/>", "404 Not Found"),
        samples.response("not xml"),
        b"",
    ],
)
def test_descriptions_that_are_not_used(data: bytes) -> None:
    """Another machine, no such service, no description."""
    with pytest.raises(DecodeError):
        igd.read_description(data, ROUTER, "/")


def test_a_call() -> None:
    """Arguments in order, escaped; action and service in the header."""
    control = igd.Control(SERVICE, ROUTER, "/ctl")
    data = igd.call(control, "Do", {"A": 1, "B": "<&>"})
    head, _, body = data.partition(b"\r\n\r\n")
    assert f'SOAPAction: "{SERVICE}#Do"'.encode() in head
    assert f'<u:Do xmlns:u="{SERVICE}"><A>1</A><B>&lt;&amp;&gt;</B></u:Do>'.encode() in body
    assert f"Content-Length: {len(body)}".encode() in head


def test_results() -> None:
    """A success with texts, a UPnP error, and what is neither."""
    code, texts = igd.read_result(samples.result(NewExternalIPAddress="44.128.0.1"))
    assert (code, texts["NewExternalIPAddress"]) == (0, "44.128.0.1")
    assert igd.read_result(samples.fault(718))[0] == 718
    assert igd.read_result(samples.response("")) == (0, {})
    with pytest.raises(DecodeError):
        igd.read_result(samples.response("<a/>", "500 No"))


@given(st.binary(max_size=120), st.text(max_size=60))
def test_any_bytes(data: bytes, url: str) -> None:
    """Something or a DecodeError, for each kind of document."""
    answer = samples.ANSWER.replace(b"http://192.168.1.1:5000/rootDesc.xml", url.encode())
    for read in (
        lambda: igd.read_answer(data, SOURCE),
        lambda: igd.read_answer(answer, SOURCE),
        lambda: igd.read_description(samples.response(data.decode("latin-1")), ROUTER, "/"),
        lambda: igd.read_description(samples.description(_plain(url)), ROUTER, "/"),
        lambda: igd.read_result(data),
    ):
        try:
            read()
        except DecodeError:
            continue


def _plain(text: str) -> str:
    """Leave out what would break the document and not the URL."""
    return "".join(each for each in text if each.isprintable() and each not in "<&>")
