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
        account_of,
        assemble,
        certify_device,
        create_account,
        draw_chain_key,
        renew,
    )
    from shoal.identity.archive import (
        Archive,
        archive_key,
        change_password,
        is_encrypted,
        pack_archive,
        pack_with_key,
        refresh,
        unpack_archive,
        unpack_text,
        unpack_with_key,
    )
    from shoal.identity.chain import DeviceChain, DeviceCheck, check_device, expect, parse_chain
    from shoal.identity.contact import Contact, StoredRequest
    from shoal.identity.contact_book import BookState, ContactBook
    from shoal.identity.devices import KnownDevices
    from shoal.identity.effects import (
        BookEffect,
        CloseConnections,
        ContactAdded,
        ContactConfirmed,
        ContactRemoved,
        ConversationChanged,
        DeviceAdded,
        DeviceChanged,
        DeviceRemoved,
        DevicesEffect,
        FindDevice,
        Forget,
        RequestReceived,
        RequestRemoved,
        SendTrustRequest,
        Status,
        StatusChanged,
        SyncDevices,
    )
    from shoal.identity.linking import (
        LINK_TIMEOUT,
        CloseChannel,
        ConnectChannel,
        LinkChanged,
        LinkEnded,
        LinkNewDevice,
        LinkOldDevice,
        LinkState,
        TemporaryKeys,
        WriteChannel,
        temporary_keys,
    )
    from shoal.identity.merging import merge_13_7, merge_current
    from shoal.identity.permissions import Permissions, Refusal
    from shoal.identity.pin import (
        PIN_LIFE,
        PinPlace,
        draw_pin,
        find_place,
        open_archive,
        parse_pin,
        pin_seed,
        pin_seeds,
        seal_archive,
    )
    from shoal.identity.receipt import CheckedReceipt, Receipt, check_receipt, make_receipt
    from shoal.identity.record import RECOVERY_STEPS, AccountRecord, Backup
    from shoal.identity.revocations import Revocations, describe, list_file, revoke_device
    from shoal.identity.settings import AccountSettings
    from shoal.identity.store import CertificateStore, chain_file
    from shoal.identity.trust_request import PAYLOAD_SIZE_MAX, TRUST_REQUEST_TYPE, TrustRequest
    from shoal.identity.wire.announcement import (
        ANNOUNCEMENT_TYPE,
        Announcement,
        read_announcement,
        sign_announcement,
    )
    from shoal.identity.wire.contacts import (
        CONTACTS_MAX,
        pack_contacts,
        pack_requests,
        unpack_contacts,
        unpack_requests,
    )
    from shoal.identity.wire.devices import KnownDevice, pack_devices, unpack_devices
    from shoal.identity.wire.discovery import JAMI_SERVICE, NEARBY_LIFE, NearbyAccount
    from shoal.identity.wire.linking import LinkAddress, LinkMessage
    from shoal.identity.wire.messages import INSTANT_MESSAGE_TYPE, InstantMessage, acknowledge
    from shoal.identity.wire.revocations import pack_revocations, unpack_revocations
    from shoal.identity.wire.sync import (
        EMPTY_MAP,
        DeviceSync,
        SyncDecoder,
        SyncedDevice,
        SyncMessage,
        split_map,
        split_sync,
    )
    from shoal.identity.wire.treated import TreatedIds, pack_treated, unpack_treated

__all__ = [
    "ANNOUNCEMENT_TYPE",
    "CONTACTS_MAX",
    "EMPTY_MAP",
    "INSTANT_MESSAGE_TYPE",
    "JAMI_SERVICE",
    "LINK_TIMEOUT",
    "NEARBY_LIFE",
    "PAYLOAD_SIZE_MAX",
    "PIN_LIFE",
    "RECOVERY_STEPS",
    "TRUST_REQUEST_TYPE",
    "AccountCreated",
    "AccountCreation",
    "AccountKeys",
    "AccountRecord",
    "AccountSettings",
    "Announcement",
    "Archive",
    "Backup",
    "BookEffect",
    "BookState",
    "CertificateStore",
    "CheckedReceipt",
    "CloseChannel",
    "CloseConnections",
    "ConnectChannel",
    "Contact",
    "ContactAdded",
    "ContactBook",
    "ContactConfirmed",
    "ContactRemoved",
    "ConversationChanged",
    "CreationStep",
    "DeviceAdded",
    "DeviceChain",
    "DeviceChanged",
    "DeviceCheck",
    "DeviceCredentials",
    "DeviceRemoved",
    "DeviceSync",
    "DevicesEffect",
    "FindDevice",
    "Forget",
    "InstantMessage",
    "KnownDevice",
    "KnownDevices",
    "LinkAddress",
    "LinkChanged",
    "LinkEnded",
    "LinkMessage",
    "LinkNewDevice",
    "LinkOldDevice",
    "LinkState",
    "NearbyAccount",
    "NewAccount",
    "Permissions",
    "PinPlace",
    "Progressed",
    "Receipt",
    "Refusal",
    "RequestReceived",
    "RequestRemoved",
    "Revocations",
    "SendTrustRequest",
    "Status",
    "StatusChanged",
    "StoredRequest",
    "SyncDecoder",
    "SyncDevices",
    "SyncMessage",
    "SyncedDevice",
    "TemporaryKeys",
    "TreatedIds",
    "TrustRequest",
    "WriteChannel",
    "account_of",
    "acknowledge",
    "archive_key",
    "assemble",
    "certify_device",
    "chain_file",
    "change_password",
    "check_device",
    "check_receipt",
    "create_account",
    "describe",
    "draw_chain_key",
    "draw_pin",
    "expect",
    "find_place",
    "is_encrypted",
    "list_file",
    "make_receipt",
    "merge_13_7",
    "merge_current",
    "open_archive",
    "pack_archive",
    "pack_contacts",
    "pack_devices",
    "pack_requests",
    "pack_revocations",
    "pack_treated",
    "pack_with_key",
    "parse_chain",
    "parse_pin",
    "pin_seed",
    "pin_seeds",
    "read_announcement",
    "refresh",
    "renew",
    "revoke_device",
    "seal_archive",
    "sign_announcement",
    "split_map",
    "split_sync",
    "temporary_keys",
    "unpack_archive",
    "unpack_contacts",
    "unpack_devices",
    "unpack_requests",
    "unpack_revocations",
    "unpack_text",
    "unpack_treated",
    "unpack_with_key",
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
        "account_of",
        "assemble",
        "certify_device",
        "create_account",
        "draw_chain_key",
        "renew",
    ),
    "archive": (
        "Archive",
        "archive_key",
        "change_password",
        "is_encrypted",
        "pack_archive",
        "pack_with_key",
        "refresh",
        "unpack_archive",
        "unpack_text",
        "unpack_with_key",
    ),
    "chain": (
        "DeviceChain",
        "DeviceCheck",
        "check_device",
        "expect",
        "parse_chain",
    ),
    "contact": (
        "Contact",
        "StoredRequest",
    ),
    "contact_book": (
        "BookState",
        "ContactBook",
    ),
    "devices": ("KnownDevices",),
    "effects": (
        "BookEffect",
        "CloseConnections",
        "ContactAdded",
        "ContactConfirmed",
        "ContactRemoved",
        "ConversationChanged",
        "DeviceAdded",
        "DeviceChanged",
        "DeviceRemoved",
        "DevicesEffect",
        "FindDevice",
        "Forget",
        "RequestReceived",
        "RequestRemoved",
        "SendTrustRequest",
        "Status",
        "StatusChanged",
        "SyncDevices",
    ),
    "linking": (
        "CloseChannel",
        "ConnectChannel",
        "LINK_TIMEOUT",
        "LinkChanged",
        "LinkEnded",
        "LinkNewDevice",
        "LinkOldDevice",
        "LinkState",
        "TemporaryKeys",
        "WriteChannel",
        "temporary_keys",
    ),
    "merging": (
        "merge_13_7",
        "merge_current",
    ),
    "permissions": (
        "Permissions",
        "Refusal",
    ),
    "pin": (
        "PIN_LIFE",
        "PinPlace",
        "draw_pin",
        "find_place",
        "open_archive",
        "parse_pin",
        "pin_seed",
        "pin_seeds",
        "seal_archive",
    ),
    "receipt": (
        "CheckedReceipt",
        "Receipt",
        "check_receipt",
        "make_receipt",
    ),
    "record": (
        "AccountRecord",
        "Backup",
        "RECOVERY_STEPS",
    ),
    "revocations": (
        "Revocations",
        "describe",
        "list_file",
        "revoke_device",
    ),
    "settings": ("AccountSettings",),
    "store": (
        "CertificateStore",
        "chain_file",
    ),
    "trust_request": (
        "PAYLOAD_SIZE_MAX",
        "TRUST_REQUEST_TYPE",
        "TrustRequest",
    ),
    "wire.announcement": (
        "ANNOUNCEMENT_TYPE",
        "Announcement",
        "read_announcement",
        "sign_announcement",
    ),
    "wire.contacts": (
        "CONTACTS_MAX",
        "pack_contacts",
        "pack_requests",
        "unpack_contacts",
        "unpack_requests",
    ),
    "wire.devices": (
        "KnownDevice",
        "pack_devices",
        "unpack_devices",
    ),
    "wire.discovery": (
        "JAMI_SERVICE",
        "NEARBY_LIFE",
        "NearbyAccount",
    ),
    "wire.linking": (
        "LinkAddress",
        "LinkMessage",
    ),
    "wire.messages": (
        "INSTANT_MESSAGE_TYPE",
        "InstantMessage",
        "acknowledge",
    ),
    "wire.revocations": (
        "pack_revocations",
        "unpack_revocations",
    ),
    "wire.sync": (
        "DeviceSync",
        "EMPTY_MAP",
        "SyncDecoder",
        "SyncMessage",
        "SyncedDevice",
        "split_map",
        "split_sync",
    ),
    "wire.treated": (
        "TreatedIds",
        "pack_treated",
        "unpack_treated",
    ),
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
