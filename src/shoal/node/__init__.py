"""The node: all engines composed, with storage, configuration and the public API.

Names are imported when they are first used. Errors are in `shoal.node.errors`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.node.config import (
        CONFIG_FILE,
        DhtSettings,
        NamesSettings,
        NetSettings,
        NodeConfig,
        home_path,
    )
    from shoal.node.driver.account import Account
    from shoal.node.driver.accounts import Accounts
    from shoal.node.driver.contacts import Contact, Contacts, IncomingRequest
    from shoal.node.driver.devices import Device, Devices
    from shoal.node.driver.news import (
        AccountEvents,
        MessageEdited,
        MessageReacted,
        MessageTaken,
        MessageUnreacted,
    )
    from shoal.node.driver.node import Node
    from shoal.node.events import (
        AccountState,
        ContactChanged,
        Lagged,
        NodeEvent,
        Numbered,
        Presence,
        RequestReceived,
    )
    from shoal.node.loopback import LOOPBACK, draw_network, loopback_settings

__all__ = [
    "CONFIG_FILE",
    "LOOPBACK",
    "Account",
    "AccountEvents",
    "AccountState",
    "Accounts",
    "Contact",
    "ContactChanged",
    "Contacts",
    "Device",
    "Devices",
    "DhtSettings",
    "IncomingRequest",
    "Lagged",
    "MessageEdited",
    "MessageReacted",
    "MessageTaken",
    "MessageUnreacted",
    "NamesSettings",
    "NetSettings",
    "Node",
    "NodeConfig",
    "NodeEvent",
    "Numbered",
    "Presence",
    "RequestReceived",
    "draw_network",
    "home_path",
    "loopback_settings",
]

_MODULES = {
    "config": (
        *("CONFIG_FILE", "DhtSettings", "NamesSettings", "NetSettings", "NodeConfig"),
        "home_path",
    ),
    "driver.account": ("Account",),
    "driver.accounts": ("Accounts",),
    "driver.contacts": ("Contact", "Contacts", "IncomingRequest"),
    "driver.devices": ("Device", "Devices"),
    "driver.news": (
        *("AccountEvents", "MessageEdited", "MessageReacted", "MessageTaken"),
        "MessageUnreacted",
    ),
    "driver.node": ("Node",),
    "events": (
        *("AccountState", "ContactChanged", "Lagged", "NodeEvent", "Numbered", "Presence"),
        "RequestReceived",
    ),
    "loopback": ("LOOPBACK", "draw_network", "loopback_settings"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
