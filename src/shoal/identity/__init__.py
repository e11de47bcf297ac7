"""Accounts, devices, archives, contacts and trust: who somebody is, and whom they talk to.

Engines and codecs without I/O; `shoal.identity.driver` keeps accounts on disk. Names load on first
use, errors are in `shoal.identity.errors`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.identity.account import (
        AccountCreated,
        AccountCreation,
        AccountKeys,
        CreationStep,
        DeviceCredentials,
        NewAccount,
        Progressed,
        certify_device,
        create_account,
    )
    from shoal.identity.chain import DeviceChain, DeviceCheck, check_device, expect, parse_chain
    from shoal.identity.receipt import CheckedReceipt, Receipt, check_receipt, make_receipt
    from shoal.identity.wire.announcement import Announcement, read_announcement, sign_announcement
    from shoal.identity.wire.contacts import Contact, StoredRequest
    from shoal.identity.wire.devices import KnownDevice
    from shoal.identity.wire.discovery import JAMI_SERVICE, NearbyAccount
    from shoal.identity.wire.messages import InstantMessage, acknowledge
    from shoal.identity.wire.requests import TrustRequest
    from shoal.identity.wire.revocations import pack_revocations, unpack_revocations
    from shoal.identity.wire.sync import (
        DeviceSync,
        SyncDecoder,
        SyncedDevice,
        SyncMessage,
        split_map,
        split_sync,
    )
    from shoal.identity.wire.treated import TreatedIds

__all__ = [
    "JAMI_SERVICE",
    "AccountCreated",
    "AccountCreation",
    "AccountKeys",
    "Announcement",
    "CheckedReceipt",
    "Contact",
    "CreationStep",
    "DeviceChain",
    "DeviceCheck",
    "DeviceCredentials",
    "DeviceSync",
    "InstantMessage",
    "KnownDevice",
    "NearbyAccount",
    "NewAccount",
    "Progressed",
    "Receipt",
    "StoredRequest",
    "SyncDecoder",
    "SyncMessage",
    "SyncedDevice",
    "TreatedIds",
    "TrustRequest",
    "acknowledge",
    "certify_device",
    "check_device",
    "check_receipt",
    "create_account",
    "expect",
    "make_receipt",
    "pack_revocations",
    "parse_chain",
    "read_announcement",
    "sign_announcement",
    "split_map",
    "split_sync",
    "unpack_revocations",
]

_MODULES = {
    "account": (
        "AccountCreated",
        "AccountCreation",
        "AccountKeys",
        "CreationStep",
        "DeviceCredentials",
        "NewAccount",
        "Progressed",
        "certify_device",
        "create_account",
    ),
    "chain": (
        "DeviceChain",
        "DeviceCheck",
        "check_device",
        "expect",
        "parse_chain",
    ),
    "receipt": (
        "CheckedReceipt",
        "Receipt",
        "check_receipt",
        "make_receipt",
    ),
    "wire.announcement": (
        "Announcement",
        "read_announcement",
        "sign_announcement",
    ),
    "wire.contacts": (
        "Contact",
        "StoredRequest",
    ),
    "wire.devices": ("KnownDevice",),
    "wire.discovery": (
        "JAMI_SERVICE",
        "NearbyAccount",
    ),
    "wire.messages": (
        "InstantMessage",
        "acknowledge",
    ),
    "wire.requests": ("TrustRequest",),
    "wire.revocations": (
        "pack_revocations",
        "unpack_revocations",
    ),
    "wire.sync": (
        "DeviceSync",
        "SyncDecoder",
        "SyncMessage",
        "SyncedDevice",
        "split_map",
        "split_sync",
    ),
    "wire.treated": ("TreatedIds",),
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
