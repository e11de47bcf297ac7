"""A router's words, after those of miniupnpd 2.3."""

from __future__ import annotations

from typing import Final

from shoal.core import Address

GATEWAY: Final = bytes([192, 168, 1, 1])
ROUTER: Final = Address(GATEWAY, 5000)
PUBLIC: Final = bytes([44, 128, 0, 1])
SERVICE: Final = "urn:schemas-upnp-org:service:WANIPConnection:1"

ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\n"
    b"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
    b"USN: uuid:1::urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nEXT:\r\n"
    b"SERVER: Debian UPnP/1.1 MiniUPnPd/2.3.1\r\n"
    b"LOCATION: http://192.168.1.1:5000/rootDesc.xml\r\n\r\n"
)


def response(body: str, status: str = "200 OK") -> bytes:
    """Wrap *body* as the router's HTTP server does."""
    data = body.encode()
    head = f'HTTP/1.1 {status}\r\nContent-Type: text/xml; charset="utf-8"\r\n'
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def description(
    control: str = "/ctl/IPConn", service: str = SERVICE, base: str | None = None
) -> bytes:
    """Return a description with one service that maps ports, and one that does not."""
    url_base = f"<URLBase>{base}</URLBase>" if base else ""
    return response(
        '<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0">'
        f"{url_base}<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1"
        "</deviceType><serviceList><service><serviceType>urn:schemas-upnp-org:service:"
        "Layer3Forwarding:1</serviceType><controlURL>/ctl/L3F</controlURL></service>"
        "</serviceList><deviceList><device><deviceList><device><serviceList><service>"
        f"<serviceType>{service}</serviceType><serviceId>x</serviceId>"
        f"<controlURL>{control}</controlURL></service></serviceList></device></deviceList>"
        "</device></deviceList></device></root>"
    )


def result(**texts: object) -> bytes:
    """Return the response to a call."""
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in texts.items())
    return response(
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f'<s:Body><u:Response xmlns:u="{SERVICE}">{inner}</u:Response></s:Body></s:Envelope>'
    )


def fault(code: int) -> bytes:
    """Return the refusal of a call."""
    return response(
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
        "<faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>"
        '<UPnPError xmlns="urn:schemas-upnp-org:control-1-0">'
        f"<errorCode>{code}</errorCode><errorDescription>no</errorDescription></UPnPError>"
        "</detail></s:Fault></s:Body></s:Envelope>",
        "500 Internal Server Error",
    )


def public_address() -> bytes:
    """Return NAT-PMP's answer about the address."""
    return bytes.fromhex("0080000000000064") + PUBLIC


def natpmp_mapping(
    internal: int, external: int, *, lifetime: int = 3600, is_tcp: bool = True, result: int = 0,
    epoch: int = 100,
) -> bytes:  # fmt: skip
    """Return NAT-PMP's answer about a mapping."""
    return b"".join(
        [
            bytes([0, 130 if is_tcp else 129]),
            result.to_bytes(2),
            epoch.to_bytes(4),
            internal.to_bytes(2),
            external.to_bytes(2),
            lifetime.to_bytes(4),
        ]
    )
