"""The methods of the node's API: each calls one thing of the library, and answers in JSON.

Accounts are named by id, by first digits of it, or by display name; contacts by id or registered
name, devices by id.
Passwords travel as parameters, from the same user to the same user, and are never logged.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.core.records import dataclass
from shoal.net.errors import ConnectError, ConnectStep
from shoal.node import events as ev
from shoal.node.driver.api.registry import METHODS, Last
from shoal.node.driver.backup import write_backup
from shoal.node.driver.ids import account_of
from shoal.node.driver.paths import trace_to_json
from shoal.node.errors import ParametersError
from shoal.node.plain import event_to_json, plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from shoal.core import AccountId, DeviceId
    from shoal.net import ConnectionInfo
    from shoal.node.driver.account import Account
    from shoal.node.driver.bus import Subscription
    from shoal.node.driver.contacts import Contact, IncomingRequest
    from shoal.node.driver.devices import Device, Pin
    from shoal.node.driver.node import Node

method = METHODS.method

DEFAULT_CHANNEL: Final = "sip"  # Jami: taken from everybody who may connect
SEND_TIME: Final = 10.0  # seconds that a request may take to be put, before the call returns; ours


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done, how many steps are done, and how many there are."""

    step: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """An account, as lists have it."""

    id: str
    name: str
    device: str
    short_device: str
    state: str
    has_password: bool
    backup: str
    contacts: int
    requests: int
    devices: int
    registered_name: str
    name_server: str

    @classmethod
    def of(cls, account: Account) -> AccountInfo:
        """Describe *account*."""
        return cls(
            account.id.hex(),
            account.name,
            account.device_id.hex(),
            account.short_device_id.hex(),
            account.state.value,
            account.has_password,
            account.backup.value,
            len(account.contacts.list(with_banned=False)),
            len(account.contacts.requests()),
            len(account.devices.list()),
            account.names.own,
            account.names.server,
        )


# The node


@method("node.status", is_local=True)
async def node_status(node: Node) -> dict[str, object]:
    """Say what runs: home, accounts, DHT nodes."""
    return {
        "home": str(node.home),
        "accounts": len(node.accounts),
        "damaged": {str(path): why for path, why in node.accounts.damaged.items()},
        "dht": [
            {
                "node_id": str(dht.node_id),
                "network": dht.network,
                "status": dht.status.value,
                "port": dht.port,
                "nodes": len(dht.nodes()),
                "public_addresses": [addr.host for addr in dht.public_addresses],
            }
            for dht in node.dht_nodes
        ],
    }


@method("node.backup", is_local=True)
async def node_backup(node: Node, path: str, password: str = "") -> dict[str, object]:
    """Write accounts, conversations and settings to one file of this machine."""
    size = await write_backup(node, Path(path), password)
    return {"path": path, "size": size, "accounts": len(node.accounts)}


@method("node.methods", is_local=True)
async def node_methods(node: Node) -> list[dict[str, object]]:
    """Describe the methods of this API."""
    return [
        {
            "name": each.name,
            "summary": each.summary,
            "is_stream": each.is_stream,
            "parameters": [
                {"name": it.name, "kind": it.kind, "is_required": it.is_required}
                for it in each.parameters
            ],
        }
        for each in METHODS
    ]


@method("node.events")
async def node_events(node: Node) -> AsyncIterator[object]:
    """Follow what happens, from now on and until the call is canceled."""
    with node.events() as events:
        yield {"event": "subscribed"}
        async for each in events:
            if isinstance(each, ev.Lagged):
                yield {"event": "lagged", "first": each.first, "last": each.last}
            else:
                yield {"number": each.number, **event_to_json(each.event)}


# Accounts


@method("account.list", is_local=True)
async def account_list(node: Node) -> list[AccountInfo]:
    """List the accounts."""
    return [AccountInfo.of(account) for account in node.accounts]


@method("account.show", is_local=True)
async def account_show(node: Node, account: str) -> AccountInfo:
    """Describe one account."""
    return AccountInfo.of(node.accounts[account])


@method("account.create")
async def account_create(
    node: Node,
    name: str,
    password: str = "",
    device_name: str = "",
    wait: float = 0.0,
) -> AsyncIterator[object]:
    """Make a new account; wait up to so many seconds for it to be announced."""
    create = partial(node.accounts.create, name, password=password, device_name=device_name)
    async for each in _with_progress(create, wait):
        yield each


@method("account.import")
async def account_import(
    node: Node,
    archive: str,
    password: str = "",
    device_name: str = "",
    wait: float = 0.0,
) -> AsyncIterator[object]:
    """Make this a device of the account in an archive, given in base64."""
    try:
        data = base64.b64decode(archive, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ParametersError("archive is base64", "ParametersError") from error
    create = partial(node.accounts.import_archive, data, password=password, device_name=device_name)
    async for each in _with_progress(create, wait):
        yield each


@method("account.link_pin")
async def account_link_pin(
    node: Node, pin: str, password: str = "", device_name: str = "", wait: float = 0.0
) -> AsyncIterator[object]:
    """Make this a device of the account that shows this PIN."""
    create = partial(node.accounts.link_pin, pin, password=password, device_name=device_name)
    async for each in _with_progress(create, wait):
        yield each


@method("account.export", is_local=True)
async def account_export(node: Node, account: str, path: str, password: str | None = None) -> None:
    """Write the account's archive to a file of this machine."""
    await node.accounts[account].export(path, password=password)


@method("account.passwd", is_local=True)
async def account_passwd(node: Node, account: str, old: str, new: str) -> None:
    """Change the password of the account's archive on this device."""
    await node.accounts[account].change_password(old, new)


@method("account.rename", is_local=True)
async def account_rename(node: Node, account: str, name: str) -> None:
    """Change the account's display name."""
    await node.accounts[account].rename(name)


@method("account.remove", is_local=True)
async def account_remove(node: Node, account: str) -> None:
    """Delete the account from this device."""
    await node.accounts.remove(account)


# Devices


@method("device.list", is_local=True)
async def device_list(node: Node, account: str) -> tuple[Device, ...]:
    """List the account's devices, this one first."""
    return node.accounts[account].devices.list()


@method("device.rename")
async def device_rename(node: Node, account: str, name: str) -> None:
    """Give this device another name."""
    await node.accounts[account].devices.rename(name)


@method("device.revoke")
async def device_revoke(node: Node, account: str, device: str, password: str = "") -> None:
    """Revoke a device of the account."""
    found = node.accounts[account]
    await found.devices.revoke(device, password=password)
    await _announced(found, SEND_TIME)  # the list goes out with our announcement, not before


@method("device.export_pin")
async def device_export_pin(node: Node, account: str, password: str = "") -> Pin:
    """Show a PIN under which a new device can fetch the account for ten minutes."""
    return await node.accounts[account].devices.export_pin(password=password)


@method("device.add")
async def device_add(node: Node, account: str, uri: str) -> None:
    """Hand the account to a new device that shows this address."""
    await node.accounts[account].devices.add(uri)


# Contacts


@method("contact.list", is_local=True)
async def contact_list(node: Node, account: str) -> list[dict[str, object]]:
    """List contacts, and those who are blocked, with the names that they gave themselves."""
    own = node.accounts[account]
    return [{**plain(each), **plain(own.profiles[each.id])} for each in own.contacts.list()]


@method("contact.requests", is_local=True)
async def contact_requests(node: Node, account: str) -> tuple[IncomingRequest, ...]:
    """List who asks to become a contact."""
    return node.accounts[account].contacts.requests()


@method("contact.add")
async def contact_add(
    node: Node, account: str, contact: str, payload: str = "", wait: float = SEND_TIME
) -> dict[str, object]:
    """Add a contact and send it a request; wait up to so many seconds for that to be out."""
    found = node.accounts[account]
    with node.events() as events:
        added = await found.contacts.add(contact, payload=payload.encode())
        devices = 0 if added.is_confirmed else await _sent(events, added, wait)
    return {"contact": added, "devices": devices}


@method("contact.accept")
async def contact_accept(
    node: Node, account: str, contact: str, wait: float = SEND_TIME
) -> dict[str, object]:
    """Accept a request; wait up to so many seconds for the other side to be told."""
    found = node.accounts[account]
    with node.events() as events:
        accepted = await found.contacts.accept(contact)
        devices = await _sent(events, accepted, wait)
    return {"contact": accepted, "devices": devices}


@method("contact.decline", is_local=True)
async def contact_decline(node: Node, account: str, contact: str) -> None:
    """Forget a request; the other side is not told."""
    await node.accounts[account].contacts.decline(contact)


@method("contact.block", is_local=True)
async def contact_block(node: Node, account: str, contact: str) -> None:
    """Let nothing of this account through."""
    await node.accounts[account].contacts.block(contact)


@method("contact.unblock", is_local=True)
async def contact_unblock(node: Node, account: str, contact: str) -> None:
    """Let this account through again."""
    await node.accounts[account].contacts.unblock(contact)


@method("contact.remove", is_local=True)
async def contact_remove(node: Node, account: str, contact: str) -> None:
    """Forget a contact."""
    await node.accounts[account].contacts.remove(contact)


# Connections


@method("connect")
async def connect(
    node: Node,
    account: str,
    to: str,
    channel: str = DEFAULT_CHANNEL,
    timeout: float = 60.0,  # noqa: ASYNC109 - a parameter of the API
    fresh: bool = False,
) -> dict[str, object]:
    """Open a channel to a device or an account, describe the way it took, and close it.

    A device that takes no such channel was reached all the same; `is_accepted` tells them apart.
    """
    found = node.accounts[account]
    try:
        opened = await found.connect(to, channel, reuse=not fresh, timeout=timeout)
    except ConnectError as error:
        info = _connection_to(found, await found.names.find_target(to))
        if error.step is not ConnectStep.CHANNEL or info is None:
            raise
        return _connected(info, channel, is_accepted=False)
    try:
        info = opened.connection
        assert info is not None, "it has just been opened"
        return _connected(info, channel, is_accepted=True)
    finally:
        opened.close()


def _connection_to(account: Account, target: AccountId | DeviceId) -> ConnectionInfo | None:
    fitting = (i for i in account.connections() if target in (i.device, i.account))
    return next(fitting, None)


def _connected(info: ConnectionInfo, channel: str, *, is_accepted: bool) -> dict[str, object]:
    return {
        "account": info.account.hex(),
        "device": info.device.hex(),
        "channel": channel,
        "is_accepted": is_accepted,
        "trace": trace_to_json(info.trace),
    }


@method("connection.list", is_local=True)
async def connection_list(node: Node, account: str) -> list[dict[str, object]]:
    """List the connections that are up."""
    return [
        {
            "connection": info.connection,
            "device": info.device.hex(),
            "account": info.account.hex(),
            "channels": info.channels,
            "trace": trace_to_json(info.trace),
        }
        for info in node.accounts[account].connections()
    ]


@method("connection.traces", is_local=True)
async def connection_traces(node: Node, account: str) -> list[dict[str, object]]:
    """List the latest attempts to connect, with what became of each."""
    return [trace_to_json(trace) for trace in node.accounts[account].traces()]


# Shared


async def _with_progress(
    create: Callable[..., Awaitable[Account]], wait: float
) -> AsyncIterator[object]:
    """Yield progress while an account is made, and the account last."""
    steps: asyncio.Queue[Progress | None] = asyncio.Queue()

    def report(step: str, done: int, total: int) -> None:
        steps.put_nowait(Progress(step, done, total))

    async def work() -> Account:
        try:
            return await create(progress=report)
        finally:
            steps.put_nowait(None)

    task = asyncio.get_running_loop().create_task(work())
    try:
        while (step := await steps.get()) is not None:
            yield step
        account = await task
    finally:
        task.cancel()
    if wait:
        yield Progress("announcing", 0, 1)
        await _announced(account, wait)
    yield Last(AccountInfo.of(account))


async def _announced(account: Account, seconds: float) -> bool:
    """Wait for an account to be announced, and say whether it is."""
    with contextlib.suppress(TimeoutError):
        await account.wait_announced(seconds)
        return True
    return False


async def _sent(events: Subscription, contact: Contact, seconds: float) -> int:
    """Wait until a request is out, and return how many devices have it; 0 if that takes long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for each in events:
                event: Any = getattr(each, "event", None)
                if isinstance(event, ev.RequestSent) and event.peer == account_of(contact.id):
                    return event.devices
    return 0
