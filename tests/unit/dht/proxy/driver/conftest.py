"""Proxy servers on loopback, over a node in memory."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from shoal.dht.proxy import ProxyLimits, ProxyServerConfig
from shoal.dht.proxy.driver import ProxyServer
from tests.unit.dht.proxy.fake_node import FakeNode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


@pytest.fixture
def node() -> FakeNode:
    """A node that is served."""
    return FakeNode()


@pytest.fixture
async def serve(node: FakeNode) -> AsyncIterator[Callable[..., Awaitable[ProxyServer]]]:
    """Open proxy servers: `limits` by name, `state`, `tls`, and settings of the server."""
    async with AsyncExitStack() as stack:

        async def open_(
            limits: dict[str, int] | None = None,
            *,
            state: object = None,
            tls: object = None,
            **settings: Any,
        ) -> ProxyServer:
            config = ProxyServerConfig(limits=ProxyLimits(**(limits or {})), **settings)
            server = ProxyServer(node, config, state=state, tls=tls)  # type: ignore[arg-type]
            return await stack.enter_async_context(server)

        yield open_


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path, ssl.SSLContext]:
    """A certificate for localhost with its key, as files, and a context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    began = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(began)
        .not_valid_after(began + dt.timedelta(days=365 * 100))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain_file, key_file = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain_file.write_bytes(signed.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return chain_file, key_file, ssl.create_default_context(cafile=chain_file)
