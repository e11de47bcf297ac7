"""Name servers on loopback, over a chain in memory."""

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

from shoal.names import NameServer, NameServerConfig, NameServerLimits
from shoal.names.driver.server import tls_context
from tests.unit.names.fake_chain import FakeChain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Serve = Callable[..., Awaitable[NameServer]]


@pytest.fixture
def chain() -> FakeChain:
    """A chain that is empty but for its registry."""
    return FakeChain()


@pytest.fixture
async def serve(chain: FakeChain, tmp_path: Path) -> AsyncIterator[Serve]:
    """Open servers: `limits` by name, `folder`, `chain`, `tls`, and settings by name."""
    async with AsyncExitStack() as stack:

        async def open_(
            limits: dict[str, Any] | None = None,
            *,
            folder: str = "data",
            on: FakeChain | None = None,
            tls: Any = None,
            **settings: Any,
        ) -> NameServer:
            settings = {"port": 0, **settings}
            config = NameServerConfig(limits=NameServerLimits(**(limits or {})), **settings)
            served = on or chain
            registrar = None if config.is_read_only else served
            server = NameServer(
                served, served.registry, tmp_path / folder, config, registrar=registrar, tls=tls
            )
            return await stack.enter_async_context(server)

        yield open_


@pytest.fixture(scope="session")
def certificate(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for a server at localhost and 127.0.0.1, and for clients who trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - OpenSSL looks at the clock too
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("localhost"),
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                ]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return tls_context(chain, private), ssl.create_default_context(cafile=chain)
