"""A server from a chain, a folder and a port: what an operator names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shoal.chain import ChainAddress
from shoal.chain.config import RpcConfig
from shoal.chain.driver import EmbeddedChain, RegistryClient, load_key, opening, save_key
from shoal.chain.driver.files import new_key
from shoal.chain.errors import ChainFileError
from shoal.names import NameClient, NameServerConfig
from shoal.names.driver.opening import CHAIN_FOLDER, KEY_FILE, open_name_server
from shoal.names.errors import (
    AccountNamedError,
    NameStoreError,
    NameTakenError,
    RegistrationPendingError,
    RegistryMissingError,
    TooManyNameRequestsError,
)
from tests.unit.names.people import record_of

if TYPE_CHECKING:
    from pathlib import Path

ALICE = record_of("alice")
ANY_PORT = NameServerConfig(port=0)


async def test_a_chain_of_its_own(tmp_path: Path) -> None:
    """Registered, refused, found again by the next process; paid for once."""
    async with open_name_server(tmp_path, ANY_PORT) as server:
        async with NameClient(server=server.url) as client:
            await client.register_record(ALICE)
            await client.register_record(ALICE)
            with pytest.raises(NameTakenError):
                await client.register_record(record_of("bob", "alice"))
            with pytest.raises(AccountNamedError):
                await client.register_record(record_of("alice", "other"))
        assert server.payer == load_key(tmp_path / KEY_FILE).address
    async with (
        open_name_server(tmp_path, NameServerConfig(port=0, is_read_only=True)) as server,
        NameClient(server=server.url) as client,
    ):
        assert await client.lookup("alice") == ALICE.with_owner(None)
        assert server.payer is None
    async with EmbeddedChain(tmp_path / CHAIN_FOLDER) as chain:
        (event,) = await RegistryClient(chain).events(0)
        assert (event.name, event.owner) == ("alice", ALICE.owner)
        assert await chain.nonce(load_key(tmp_path / KEY_FILE).address) == 1


async def test_a_key_of_ones_own(tmp_path: Path) -> None:
    """It pays, and gets coins from the faucet of the embedded chain."""
    path = tmp_path / "own.key"
    save_key(path, new_key())
    async with open_name_server(tmp_path / "data", ANY_PORT, key=path) as server:
        assert server.payer == load_key(path).address
        async with NameClient(server=server.url) as client:
            await client.register_record(ALICE)
    assert not (tmp_path / "data" / KEY_FILE).exists()


async def test_a_node_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server starts, and keeps what it is asked for until the node comes."""
    quick = RpcConfig(timeout=1.0, attempts=1)
    honest = opening.open_chain

    async def impatient(where: str, **wishes: object) -> object:
        return await honest(where, config=quick, **wishes)  # type: ignore[arg-type]

    monkeypatch.setattr("shoal.names.driver.opening.open_chain", impatient)
    away = "http://127.0.0.1:9"
    async with (
        open_name_server(tmp_path, ANY_PORT, chain=away) as server,
        NameClient(server=server.url) as client,
    ):
        with pytest.raises(RegistrationPendingError):
            await client.register_record(ALICE)
        assert (await client.status())["pending"] == 1
    async with open_name_server(tmp_path, ANY_PORT, chain=away) as server:
        assert len(server.engine.registrations) == 1


async def test_a_sender_whose_file_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is opened anew: what is in its file goes on."""
    honest, failures = RegistryClient.register, 1

    async def failing(self: RegistryClient, *asked: object) -> object:
        nonlocal failures
        if failures:
            failures -= 1
            raise ChainFileError("no space left")
        return await honest(self, *asked)  # type: ignore[arg-type]

    monkeypatch.setattr(RegistryClient, "register", failing)
    async with (
        open_name_server(tmp_path, ANY_PORT) as server,
        NameClient(server=server.url) as client,
    ):
        with pytest.raises((RegistrationPendingError, TooManyNameRequestsError)):
            await client.register_record(ALICE)
        await client.register_record(ALICE)
        assert server.engine.registrations.stats.delayed == 1


async def test_another_registry_takes_another_folder(tmp_path: Path) -> None:
    """A folder belongs to one; a registry that is not there is not waited for in silence."""
    async with open_name_server(tmp_path, ANY_PORT):
        pass
    nobody = ChainAddress.parse("0x" + "12" * 20)
    with pytest.raises(RegistryMissingError, match="registry"):
        async with open_name_server(tmp_path, ANY_PORT, registry=nobody):
            pass


async def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    """Said in words."""
    (tmp_path / "file").write_text("")
    with pytest.raises(NameStoreError, match="file"):
        async with open_name_server(tmp_path / "file", ANY_PORT, chain="http://127.0.0.1:9"):
            pass
