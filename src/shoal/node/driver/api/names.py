"""The API's methods about names, at the name server of an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.node.driver.api.registry import METHODS

if TYPE_CHECKING:
    from shoal.names import NameRecord
    from shoal.node.driver.node import Node

method = METHODS.method


def describe(record: NameRecord) -> dict[str, Any]:
    """Return a record as JSON has it."""
    fields: dict[str, Any] = {"name": record.name, "addr": str(record.account)}
    if record.owner is not None:
        fields["owner"] = str(record.owner)
    return {**fields, "is_signed": record.is_signed}


# They need a name server, and nothing else of the network: no account goes online for them.


@method("name.register", is_local=True)
async def name_register(
    node: Node, account: str, name: str, password: str = "", server: str = ""
) -> dict[str, Any]:
    """Register a name for the account, for ever, at its name server or another one."""
    names = node.accounts[account].names
    return describe(await names.register(name, password=password, server=server or None))


@method("name.lookup", is_local=True)
async def name_lookup(node: Node, account: str, name: str, fresh: bool = False) -> dict[str, Any]:
    """Find who has a name, or name@server."""
    return describe(await node.accounts[account].names.lookup(name, is_fresh=fresh))


@method("name.reverse", is_local=True)
async def name_reverse(node: Node, account: str, of: str, fresh: bool = False) -> dict[str, Any]:
    """Find the name of an account."""
    return describe(await node.accounts[account].names.reverse(of, is_fresh=fresh))


@method("name.resolve", is_local=True)
async def name_resolve(node: Node, account: str, who: str) -> dict[str, Any]:
    """Find the account that an id, a name or an address leads to."""
    return {"addr": str(await node.accounts[account].names.find_account(who))}


@method("name.status", is_local=True)
async def name_status(node: Node, account: str, name: str = "") -> dict[str, Any]:
    """Tell how the account's name server is, or how far a registration is there."""
    return await node.accounts[account].names.status(name)


@method("name.use", is_local=True)
async def name_use(node: Node, account: str, server: str) -> dict[str, Any]:
    """Give the account another name server; an empty text takes the node's."""
    names = node.accounts[account].names
    await names.use(server)
    return {"server": names.server}
