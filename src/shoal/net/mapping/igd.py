"""UPnP Internet gateway devices: finding one, its description, and the calls to it.

    M-SEARCH to 239.255.255.250:1900 ─► answers with LOCATION ─► GET of the description
    ─► the control URL of WANIPConnection or WANPPPConnection ─► SOAP calls by POST

Sources: UPnP Device Architecture 1.1 sections 1.3.2, 2.3, 3.1; WANIPConnection:1 and :2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from shoal.core import Address, DecodeError
from shoal.core.records import dataclass
from shoal.net.mapping import http, xml

if TYPE_CHECKING:
    from collections.abc import Mapping

SSDP: Final = Address(bytes((239, 255, 255, 250)), 1900)  # UPnP Device Architecture section 1
SEARCH_SECONDS: Final = 2  # MX: a router answers within this time; UPnP DA section 1.3.2: 1 to 5
DESCRIPTION_PREFIX: Final = "SHOAL"
URL_LENGTH_MAX: Final = 512  # ours

# In the order in which we would rather have them.
SERVICES: Final = (
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
)
TARGETS: Final = (
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
)

CONFLICT: Final = 718  # WANIPConnection:1 section 2.4.16: the port is another's
PERMANENT_ONLY: Final = 725  # WANIPConnection:1 section 2.4.16: no lease but an endless one
WILDCARD_ONLY: Final = 727  # WANIPConnection:1 section 2.4.16


@dataclass(frozen=True, slots=True)
class Control:
    """Where and as what a router takes calls."""

    service: str
    addr: Address
    target: str

    @property
    def has_any_port(self) -> bool:
        """Whether it can choose a free port for us."""
        return self.service == SERVICES[0]


def search(target: str) -> bytes:
    """Write an M-SEARCH."""
    return (
        "M-SEARCH * HTTP/1.1\r\n"
        f"HOST: {SSDP.host}:{SSDP.port}\r\n"
        'MAN: "ssdp:discover"\r\n'
        f"MX: {SEARCH_SECONDS}\r\n"
        f"ST: {target}\r\n\r\n"
    ).encode()


def read_answer(data: bytes, source: Address) -> tuple[Address, str]:
    """Return where a router that answered from *source* has its description.

    Raises:
        DecodeError: it is no router's answer, or speaks of another machine than itself: nobody
            can make us send requests elsewhere.
    """
    first, headers, _ = http.read_head(data)
    if not first.startswith("HTTP/1.1 200") or headers.get("st") not in {*TARGETS, *SERVICES}:
        raise DecodeError("not the answer of a gateway")
    return _split_url(headers.get("location", ""), source.ip)


def read_description(data: bytes, addr: Address, target: str) -> Control:
    """Find the control URL in a response with the description at *addr* and *target*.

    Raises:
        DecodeError: there is none on the same machine.
    """
    response = http.decode(data)
    if response.status != 200:  # noqa: PLR2004 - RFC 9110: OK
        raise DecodeError(f"HTTP status {response.status}")
    base = f"http://{addr.host}:{addr.port}{target}"
    base = xml.texts(response.body).get("URLBase") or base
    found: dict[str, str] = {}
    for block in xml.blocks(response.body, "service"):
        if "controlURL" in block:
            found.setdefault(block.get("serviceType", ""), block["controlURL"])
    for service in SERVICES:
        if service in found:
            try:
                url = urljoin(base, found[service])
            except ValueError as error:
                raise DecodeError("malformed control URL") from error
            return Control(service, *_split_url(url, addr.ip))
    raise DecodeError("a gateway without a service that maps ports")


def call(control: Control, action: str, arguments: Mapping[str, object]) -> bytes:
    """Write the request of a SOAP call."""
    inner = "".join(f"<{name}>{_escape(str(value))}</{name}>" for name, value in arguments.items())
    body = (
        '<?xml version="1.0"?>\r\n'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
        ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        f'<u:{action} xmlns:u="{control.service}">{inner}</u:{action}>'
        "</s:Body></s:Envelope>\r\n"
    ).encode()
    headers = {
        "Content-Type": 'text/xml; charset="utf-8"',
        "SOAPAction": f'"{control.service}#{action}"',
    }
    return http.request(control.addr, control.target, headers=headers, body=body)


def _escape(text: str) -> str:
    """Write text as XML has it; the library's own brings an HTTP client along."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def read_result(data: bytes) -> tuple[int, dict[str, str]]:
    """Return a call's UPnP error, 0 if there is none, and the texts in its response.

    Raises:
        DecodeError: it is no response to a call.
    """
    response = http.decode(data)
    texts = xml.texts(response.body) if response.body.strip() else {}
    if response.status == 200:  # noqa: PLR2004 - RFC 9110: OK
        return 0, texts
    code = texts.get("errorCode", "")
    if not (code.isascii() and code.isdigit() and len(code) <= 4):  # noqa: PLR2004 - digits of UPnP's errors
        raise DecodeError(f"HTTP status {response.status}")
    return int(code), texts


def _split_url(url: str, ip: bytes) -> tuple[Address, str]:
    """Return address and request target of an HTTP URL on the machine *ip*."""
    if len(url) > URL_LENGTH_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise DecodeError("malformed URL")
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError as error:
        raise DecodeError("malformed URL") from error
    addr = Address.parse(parts.hostname or "", port)
    if parts.scheme != "http" or addr.ip != ip:
        raise DecodeError("a URL of another machine")
    target = parts.path or "/"
    return addr, f"{target}?{parts.query}" if parts.query else target
