"""`shoal chain`: a chain of one's own, or any Ethereum node, and the registry of names on it."""

# ruff: noqa: ASYNC109, PLC0415 - a timeout is an option here; commands load what they use

from __future__ import annotations

import asyncio
import contextlib
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import click

from shoal.cli.common import (
    TIMEOUT,
    Exit,
    Group,
    emit,
    json_option,
    names_folder,
    runs_async,
    timeout_option,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from shoal.chain import ChainAddress
    from shoal.chain.driver import EmbeddedChain, TransactionSender
    from shoal.chain.driver.rpc import RpcChain
    from shoal.chain.genesis import Genesis

P = ParamSpec("P")
R = TypeVar("R")

EMBEDDED: Final = "embedded"
WEI_PER_COIN: Final = 10**18  # of every Ethereum chain
AMOUNT: Final = "1000"  # coins; ours: some seven million registrations on a chain of one's own
CONFIRMATIONS: Final = 3  # blocks; shoal.chain.config


@click.group(cls=Group)
def chain() -> None:
    """The chain that names are on: one of your own, or any Ethereum node."""


def data_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add --data."""
    return click.option(
        "--data",
        metavar="DIR",
        help="Folder of the chain; that of this user's name server if absent.",
    )(command)


def chain_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add --chain."""
    return click.option(
        "--chain",
        "where",
        default=EMBEDDED,
        show_default=True,
        metavar="embedded|URL",
        help="The chain in --data, or that of a node reached by JSON-RPC.",
    )(command)


def confirmations_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add --confirmations."""
    return click.option(
        "--confirmations",
        type=click.IntRange(1, 1000),
        help=f"Blocks until it is done: {CONFIRMATIONS} if absent, 1 on the embedded chain.",
    )(command)


@chain.command()
@data_option
@click.option(
    "--chain-id",
    type=click.IntRange(1, 2**53 - 1),
    help="What transactions carry, so that they are none on other chains; drawn if absent.",
)
@click.option(
    "--base-fee",
    "base_fee_wei",
    type=click.IntRange(0),
    metavar="WEI",
    help="Price of a unit of gas; 1 gwei if absent, 0 makes everything free.",
)
@click.option("--genesis", metavar="FILE", help="Begin as this genesis file says.")
@json_option
@runs_async
async def init(
    data: str | None,
    chain_id: int | None,
    base_fee_wei: int | None,
    genesis: str | None,
    *,
    as_json: bool,
) -> int:
    """Begin a chain of your own in a folder.

    The folder gets the chain, the key of the faucet, which has all the coins, and genesis.json,
    from which other nodes can begin too: anvil --init, geth init. The registry of names is on it.
    """
    from shoal.chain.driver import create_chain, load_genesis
    from shoal.chain.genesis import BASE_FEE_WEI
    from shoal.chain.registry import GENESIS_ADDRESS

    folder = _folder(data)
    given = None if genesis is None else load_genesis(Path(genesis))
    if given is not None and (chain_id is not None or base_fee_wei is not None):
        raise click.UsageError("--genesis says chain id and base fee itself")
    made: Genesis = await asyncio.to_thread(
        create_chain,
        folder,
        chain_id=chain_id,
        base_fee_wei=BASE_FEE_WEI if base_fee_wei is None else base_fee_wei,
        genesis=given,
    )
    fields = {
        "chain_id": made.chain_id,
        "folder": str(folder),
        "registry": str(GENESIS_ADDRESS) if GENESIS_ADDRESS in made.accounts else None,
        "genesis": str(folder / "genesis.json"),
    }
    if as_json:
        emit("made", **fields)
    else:
        click.echo(f"chain {made.chain_id} in {folder}")
        click.echo(f"registry {fields['registry'] or '- (deploy one: shoal chain deploy)'}")
    return Exit.OK


@chain.command()
@data_option
@chain_option
@click.option("--registry", metavar="ADDRESS", help="Look for the registry here.")
@click.option("--account", metavar="ADDRESS", help="Show what this account has.")
@json_option
@timeout_option(TIMEOUT, "Give up after this time.")
@runs_async
async def status(
    data: str | None,
    where: str,
    registry: str | None,
    account: str | None,
    timeout: float,
    *,
    as_json: bool,
) -> int:
    """Show a chain: its id, its newest block, what gas costs, whether the registry is on it.

    The exit status is 1 if there is no registry.
    """
    async with asyncio.timeout(timeout), _opened(where, data) as opened:
        fields = await _status(opened, registry, account)
    if as_json:
        emit("status", **fields)
    else:
        for name, value in fields.items():
            click.echo(f"{name.replace('_', ' '):12} {'-' if value is None else value}")
    return Exit.OK if fields["registry"] else Exit.FAILED


@chain.command()
@data_option
@chain_option
@click.option("--key", required=True, metavar="FILE", help="Key that pays: 64 hex digits.")
@confirmations_option
@json_option
@timeout_option(600.0, "Stop waiting after this time; asking again goes on with it.")
@runs_async
async def deploy(
    data: str | None,
    where: str,
    key: str,
    confirmations: int | None,
    timeout: float,
    *,
    as_json: bool,
) -> int:
    """Put a registry of names onto a chain, and show its address.

    Chains that began with our genesis file have one. What is under way is kept beside the key, so
    that a second call after an interruption goes on with the first.
    """
    from shoal.chain import Call
    from shoal.chain.contract import load_contract

    code = load_contract("Registry").bytecode
    async with (
        asyncio.timeout(timeout),
        _opened(where, data) as opened,
        _sender(opened, key, confirmations) as sender,
    ):
        receipt = await sender.submit("deploy", Call(None, code))
    if as_json:
        emit("deployed", registry=str(receipt.contract), **_receipt_fields(receipt))
    else:
        click.echo(f"registry {receipt.contract}")
        click.echo(f"in block {receipt.block_number}, for {receipt.gas_used:,} units of gas")
    return Exit.OK


@chain.command()
@click.argument("address")
@data_option
@chain_option
@click.option("--amount", default=AMOUNT, show_default=True, metavar="COINS", help="How much.")
@click.option("--key", metavar="FILE", help="Key that pays; the faucet of --data if absent.")
@confirmations_option
@json_option
@timeout_option(600.0, "Stop waiting after this time; asking again goes on with it.")
@runs_async
async def fund(
    address: str,
    data: str | None,
    where: str,
    amount: str,
    key: str | None,
    confirmations: int | None,
    timeout: float,
    *,
    as_json: bool,
) -> int:
    """Send coins to ADDRESS: from the faucet of a chain of your own, or from a key."""
    from shoal.chain import Call, ChainAddress

    to, wei = ChainAddress.parse(address), _wei(amount)
    async with asyncio.timeout(timeout), _opened(where, data) as opened:
        payer = _faucet(where, data) if key is None else key
        async with _sender(opened, payer, confirmations) as sender:
            intent = f"fund:{to}:{wei}"
            receipt = await sender.submit(intent, Call(to, b"", wei))
            balance = await opened.balance(to)
    if as_json:
        emit("funded", account=str(to), balance_wei=str(balance), **_receipt_fields(receipt))
    else:
        click.echo(f"{to} has {_coins(balance)} coins")
    return Exit.OK


@chain.command("key")
@click.argument("file")
@json_option
@runs_async
async def key_(file: str, *, as_json: bool) -> int:
    """Show the address of the key in FILE; make the key where there is no such file.

    Whoever has the file has what the key owns: it is readable by you alone. Keep a copy.
    """
    from shoal.chain.driver import load_or_create_key

    key = await asyncio.to_thread(load_or_create_key, Path(file))
    if as_json:
        emit("key", address=str(key.address))
    else:
        click.echo(str(key.address))
    return Exit.OK


@chain.command()
@data_option
@click.option("--bind", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8545, show_default=True, help="Port."
)
@click.option("--read-only", is_flag=True, help="Take no transactions from anybody.")
@json_option
@runs_async
async def serve(data: str | None, bind: str, port: int, *, read_only: bool, as_json: bool) -> int:
    """Serve the chain in a folder by JSON-RPC, as other Ethereum nodes do, until stopped.

    Wallets and mirrors can use it. A chain is open in one process at a time: one that a name server
    has is not free for this.
    """
    from shoal.chain.driver import EmbeddedChain
    from shoal.chain.driver.rpc_server import RpcServer

    async with (
        EmbeddedChain(_folder(data), create=False) as opened,
        RpcServer(opened, bind, port, is_read_only=read_only) as server,
    ):
        fields = {"chain_id": await opened.chain_id(), "address": bind, "port": server.port}
        if as_json:
            emit("serving", **fields)
        else:
            click.echo(
                f"chain {fields['chain_id']} on http://{bind}:{server.port} (Ctrl-C ends it)"
            )
        await asyncio.Event().wait()
    return Exit.OK


@contextlib.asynccontextmanager
async def _opened(where: str, data: str | None) -> AsyncIterator[EmbeddedChain | RpcChain]:
    from shoal.chain.driver import open_chain

    opened = await open_chain(where, folder=_folder(data), create=False)
    try:
        yield opened
    finally:
        await opened.close()


@contextlib.asynccontextmanager
async def _sender(
    opened: EmbeddedChain | RpcChain, key: str, confirmations: int | None
) -> AsyncIterator[TransactionSender]:
    from dataclasses import replace

    from shoal.chain.config import EMBEDDED_CONFIG, TransactionConfig
    from shoal.chain.driver import EmbeddedChain, TransactionSender, load_key

    config = EMBEDDED_CONFIG if isinstance(opened, EmbeddedChain) else TransactionConfig()
    if confirmations is not None:
        config = replace(config, confirmations=confirmations)
    path = Path(key)
    beside = path.with_name(path.name + ".transactions")
    async with TransactionSender(opened, load_key(path), beside, config) as sender:
        yield sender


async def _status(
    opened: EmbeddedChain | RpcChain, registry: str | None, account: str | None
) -> dict[str, Any]:
    from shoal.chain import ChainAddress
    from shoal.chain.driver import RegistryClient
    from shoal.chain.errors import NotDeployedError
    from shoal.chain.registry import GENESIS_ADDRESS

    address = GENESIS_ADDRESS if registry is None else ChainAddress.parse(registry)
    is_there = True
    try:
        await RegistryClient(opened, address).check()
    except NotDeployedError:
        is_there = False
    fees, health = await opened.fees(), await opened.health()
    fields: dict[str, Any] = {
        "chain": f"{health.kind} {health.where}",
        "chain_id": health.chain_id,
        "block": health.head,
        "gas_wei": (fees.base_wei or 0) + fees.priority_wei,
        "registry": str(address) if is_there else None,
    }
    if account is not None:
        fields |= await _account(opened, ChainAddress.parse(account))
    return fields


async def _account(opened: EmbeddedChain | RpcChain, account: ChainAddress) -> dict[str, Any]:
    return {
        "account": str(account),
        "balance_wei": str(await opened.balance(account)),
        "transactions": await opened.nonce(account),
    }


def _receipt_fields(receipt: Any) -> dict[str, Any]:
    return {
        "transaction": str(receipt.tx_hash),
        "block": receipt.block_number,
        "gas_used": receipt.gas_used,
    }


def _faucet(where: str, data: str | None) -> str:
    if where != EMBEDDED:
        raise click.UsageError("a node's chain has no faucet here: name a --key that pays")
    from shoal.chain.driver.embedded import FAUCET_NAME

    return str(_folder(data) / FAUCET_NAME)


def _folder(data: str | None) -> Path:
    """Return the folder of the chain; without --data that of the name server."""
    return names_folder() / "chain" if data is None else Path(data)


def _wei(coins: str) -> int:
    try:
        wei = Decimal(coins) * WEI_PER_COIN
    except InvalidOperation:
        wei = Decimal(-1)
    if wei <= 0 or wei != wei.to_integral_value():
        raise click.UsageError(f"--amount {coins} is no amount of coins")
    return int(wei)


def _coins(wei: int) -> str:
    whole, _, part = f"{Decimal(wei) / WEI_PER_COIN:,f}".partition(".")
    return f"{whole}.{part}".rstrip("0").rstrip(".") if part else whole
