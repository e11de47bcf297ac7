"""`shoal name`: register names, look them up, see how far a registration is."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import click

from shoal.cli.common import Exit, Group, emit, json_option, runs_async, timeout_option
from shoal.cli.home import api_of, ask_password, home_option, password_option, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shoal.chain import ChainAddress
    from shoal.chain.driver import RegistryClient
    from shoal.core import AccountId
    from shoal.crypto import PrivateKey
    from shoal.names import NameClient, NameRecord

P = ParamSpec("P")
R = TypeVar("R")

SERVER: Final = "https://ns.jami.net"  # Jami namedirectory.cpp, DEFAULT_SERVER_HOST


@click.group(cls=Group)
def name() -> None:
    """Register and look up names, at any server that Jami's clients can use."""


def server_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add --server."""
    return click.option(
        "--server",
        default=SERVER,
        show_default=True,
        envvar="SHOAL_NAME_SERVER",
        show_envvar=True,
        metavar="URL",
        help="The name server.",
    )(command)


def chain_options(command: Callable[P, R]) -> Callable[P, R]:
    """Add --chain and --registry."""
    for option in (
        click.option(
            "--registry", metavar="ADDRESS", help="The contract; without it that of our genesis."
        ),
        click.option(
            "--chain",
            metavar="URL",
            help="Ask the registry on this chain itself, instead of a server.",
        ),
    ):
        command = option(command)
    return command


def unsigned_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add --allow-unsigned."""
    return click.option(
        "--allow-unsigned",
        is_flag=True,
        help="Believe records without a signature, as Jami does.",
    )(command)


@name.command()
@click.argument("wanted", metavar="NAME")
@click.option("--account", metavar="ID", help="The account, of those on this device.")
@click.option("--archive", metavar="FILE", help="The account, as it was exported.")
@password_option("The password of the account's archive.")
@home_option
@click.option(
    "--server",
    metavar="URL",
    help="The name server, instead of the account's; with --archive, of the usual one.",
)
@click.option("--key", metavar="FILE", help="With --chain: the key that pays and owns the record.")
@chain_options
@timeout_option(120.0, "For all of it; the server or the chain may need some blocks.")
@json_option
@runs_async
async def register(
    wanted: str,
    account: str | None,
    archive: str | None,
    password_file: str | None,
    home: str | None,
    server: str | None,
    key: str | None,
    chain: str | None,
    registry: str | None,
    timeout: float,  # noqa: ASYNC109 - the user's
    *,
    as_json: bool,
) -> int:
    """Register NAME for the account, for ever: there is no way to change or undo it.

    An account of this device registers at its own name server: `shoal name use` says which. The
    server pays. With --chain and --key you do: the record goes to the chain from here, and
    every server that reads that chain has it. Repeating a registration is harmless.
    """
    if (chain is None) != (key is None):
        raise click.UsageError("--chain and --key belong together")
    if chain is None and archive is None and account is not None:
        async with asyncio.timeout(timeout):
            fields = await _register_here(wanted, account, password_file, home, server)
    else:
        account_key, owner = await _open_account(account, archive, password_file, home)
        if chain is not None and key is not None:
            async with asyncio.timeout(timeout):  # what was begun goes on when asked for again
                record = await _register_on_chain(wanted, account_key, chain, registry, Path(key))
        else:
            record = await _register_at(server, wanted, account_key, owner, timeout)
        fields = _fields(record)
    if as_json:
        emit("registered", **fields)
    else:
        click.echo(f"{fields['name']} is {fields['addr']}")
    return Exit.OK


@name.command()
@click.argument("server", metavar="URL")
@click.option("--account", metavar="ID", required=True, help="The account on this device.")
@home_option
@json_option
@runs_async
async def use(server: str, account: str, home: str | None, *, as_json: bool) -> int:
    """Make URL the name server of an account, as Jami's *name server* setting does.

    An empty URL, '', takes that of the node's settings again. The setting is in the account's
    archive, so that its new devices have it.
    """
    async with api_of(home, is_local=True) as api:
        used = await api.call("name.use", account=account, server=server)
    if as_json:
        emit("used", account=account, **used)
    else:
        click.echo(f"names are looked up at {printable(used['server'])}")
    return Exit.OK


@name.command()
@click.argument("address", metavar="ADDRESS")
@server_option
@chain_options
@unsigned_option
@timeout_option(15.0, "For the answer.")
@json_option
@runs_async
async def lookup(
    address: str,
    server: str,
    chain: str | None,
    registry: str | None,
    timeout: float,  # noqa: ASYNC109 - the user's
    *,
    allow_unsigned: bool,
    as_json: bool,
) -> int:
    """Find the account that ADDRESS leads to: NAME, NAME@SERVER, jami:NAME, or an id.

    What the server says is checked: the account's key must have signed the name.
    """
    from shoal.names.uris import parse_address

    target = parse_address(address)
    if target.account is not None:
        account, record = target.account, None
    elif chain is not None:
        record = await _find_on_chain(target.name, chain, registry)
        account = record.account
    else:
        async with _client(server, timeout, allow_unsigned=allow_unsigned) as client:
            record = await client.lookup(target.name, server=target.server or None)
        account = record.account
    if as_json:
        emit("found", **({"addr": str(account)} if record is None else _fields(record)))
    else:
        click.echo(str(account))
    return Exit.OK


@name.command()
@click.argument("account", metavar="ID")
@server_option
@chain_options
@unsigned_option
@timeout_option(15.0, "For the answer.")
@json_option
@runs_async
async def reverse(
    account: str,
    server: str,
    chain: str | None,
    registry: str | None,
    timeout: float,  # noqa: ASYNC109 - the user's
    *,
    allow_unsigned: bool,
    as_json: bool,
) -> int:
    """Find the name of the account ID, and check that it leads back to it."""
    from shoal.names.errors import AddressFormatError
    from shoal.names.uris import parse_address

    wanted = parse_address(account).account
    if wanted is None:
        raise AddressFormatError(f"{account!r} is no account id")
    if chain is not None:
        record = await _reverse_on_chain(wanted, chain, registry)
    else:
        async with _client(server, timeout, allow_unsigned=allow_unsigned) as client:
            record = await client.reverse(wanted)
    if as_json:
        emit("found", **_fields(record))
    else:
        click.echo(record.name)
    return Exit.OK


@name.command()
@click.argument("wanted", metavar="[NAME]", required=False)
@server_option
@timeout_option(15.0, "For the answer.")
@json_option
@runs_async
async def status(
    wanted: str | None,
    server: str,
    timeout: float,  # noqa: ASYNC109 - the user's
    *,
    as_json: bool,
) -> int:
    """Tell how a Shoal name server is, or how far the registration of NAME is there.

    States: free, pending, registered, refused, and unusable: taken on the chain by a record that
    proves nothing.
    """
    async with _client(server, timeout, allow_unsigned=False) as client:
        fields = await (client.status() if wanted is None else client.progress(wanted))
    if as_json:
        emit("status", **fields)
    else:
        for field, value in fields.items():
            click.echo(f"{field}: {value}")
    return Exit.OK


def _client(server: str, seconds: float, *, allow_unsigned: bool) -> NameClient:
    from shoal.names import NameClient, NameClientConfig

    return NameClient(
        NameClientConfig(server=server, timeout=seconds, allow_unsigned=allow_unsigned)
    )


async def _register_here(
    wanted: str, account: str, password_file: str | None, home: str | None, server: str | None
) -> Mapping[str, Any]:
    """Register for an account of this device, by its node."""
    async with api_of(home, is_local=True) as api:
        found = await api.call("account.show", account=account)
        password = ""
        if found["has_password"]:
            password = ask_password(password_file, "Password of the account") or ""
        registered: Mapping[str, Any] = await api.call(
            "name.register",
            account=found["id"],
            name=wanted,
            password=password,
            server=server or "",
        )
    return registered


async def _register_at(
    server: str | None, wanted: str, key: PrivateKey, owner: ChainAddress, seconds: float
) -> NameRecord:
    """Register at a server, with an account's key in hand."""
    from shoal.names import NameClient, NameClientConfig

    server = server or os.environ.get("SHOAL_NAME_SERVER") or SERVER
    config = NameClientConfig(server=server, registration_timeout=seconds)
    async with NameClient(config) as client:
        return await client.register(wanted, key.public_key, key.sign, owner)


async def _open_account(
    account: str | None, archive: str | None, password_file: str | None, home: str | None
) -> tuple[PrivateKey, ChainAddress]:
    """Return the account's key, and its address at name servers; ask for the password if need be.

    Raises:
        AccountFileError: a file cannot be read.
        ArchiveError: it is no archive, or the password is wrong.
    """
    if (account is None) == (archive is None):
        raise click.UsageError("name the account: with --account or with --archive")
    if archive is not None:
        return _open_archive(Path(archive), password_file)
    with tempfile.TemporaryDirectory() as folder:  # of mode 0700
        copy = Path(folder, "archive.gz")
        async with api_of(home, is_local=True) as api:
            found = await api.call("account.show", account=account)
            await api.call("account.export", account=found["id"], path=str(copy), password=None)
        return _open_archive(copy, password_file)


def _open_archive(path: Path, password_file: str | None) -> tuple[PrivateKey, ChainAddress]:
    from shoal.chain import ChainAddress
    from shoal.identity import is_encrypted, unpack_archive
    from shoal.identity.errors import AccountFileError

    try:
        data = path.read_bytes()
    except OSError as error:
        raise AccountFileError(f"{path} cannot be read: {error.strerror}") from error
    password = ""
    if is_encrypted(data):
        password = ask_password(password_file, "Password of the account") or ""
    keys = unpack_archive(data, password).keys
    return keys.account.private_key, ChainAddress.parse(keys.chain_address)


async def _open_registry(stack: AsyncExitStack, chain: str, registry: str | None) -> RegistryClient:
    from shoal.chain import ChainAddress, Registry
    from shoal.chain.driver import RegistryClient, open_chain

    opened = await open_chain(chain, create=False)
    stack.push_async_callback(opened.close)
    address = Registry().address if registry is None else ChainAddress.parse(registry)
    client = RegistryClient(opened, address)
    await client.check()
    return client


async def _register_on_chain(
    wanted: str, account_key: PrivateKey, chain: str, registry: str | None, key: Path
) -> NameRecord:
    from shoal.chain import Reservation
    from shoal.chain.driver import RegistryClient, TransactionSender, load_key
    from shoal.names import sign_name

    record = sign_name(wanted, account_key.public_key, account_key.sign)
    async with AsyncExitStack() as stack:
        reading = await _open_registry(stack, chain, registry)
        # What is under way is kept beside the key, so that asking again joins it.
        beside = key.with_name(key.name + ".transactions")
        sender = await stack.enter_async_context(
            TransactionSender(reading.chain, load_key(key), beside)
        )
        client = RegistryClient(reading.chain, reading.registry.address, sender=sender)
        evidence = record.public_key, record.signature
        entry = await client.register(Reservation(record.name, record.account, *evidence))
        return record.with_owner(entry.owner)


async def _find_on_chain(wanted: str, chain: str, registry: str | None) -> NameRecord:
    from shoal.names import NameRecord, canonical_name
    from shoal.names.errors import NameNotFoundError

    wanted = canonical_name(wanted)
    async with AsyncExitStack() as stack:
        entry = await (await _open_registry(stack, chain, registry)).lookup(wanted)
    if entry is None:
        raise NameNotFoundError(f"nobody has the name {wanted} on that chain")
    evidence = entry.public_key, entry.signature
    record = NameRecord(entry.name, entry.account, *evidence, entry.owner)
    record.check()
    return record


async def _reverse_on_chain(account: AccountId, chain: str, registry: str | None) -> NameRecord:
    from shoal.names.errors import ContradictoryAnswerError, NameNotFoundError

    async with AsyncExitStack() as stack:
        found = await (await _open_registry(stack, chain, registry)).reverse(account)
    if found is None:
        raise NameNotFoundError(f"{account} has no name on that chain")
    record = await _find_on_chain(found, chain, registry)
    if record.account != account:
        raise ContradictoryAnswerError(f"{account} is said to be {found}, who is {record.account}")
    return record


def _fields(record: NameRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": record.name, "addr": str(record.account)}
    if record.owner is not None:
        fields["owner"] = str(record.owner)
    return fields | {"is_signed": record.is_signed}
