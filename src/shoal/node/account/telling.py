"""What users are told of what the contact book and the list of devices report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.identity import effects as identity_effects
from shoal.node.events import (
    ContactChanged,
    DeviceChanged,
    DeviceRemoved,
    NodeEvent,
    RequestClosed,
    RequestReceived,
)

if TYPE_CHECKING:
    from shoal.core import AccountId, DeviceId
    from shoal.identity import ContactBook, KnownDevices

_SECOND_MS: Final = 1000  # contacts count in milliseconds
# Of these nothing else follows.
TOLD: Final = frozenset(
    {
        identity_effects.ContactConfirmed,
        identity_effects.ConversationChanged,
        identity_effects.DeviceAdded,
        identity_effects.DeviceChanged,
        identity_effects.RequestReceived,
        identity_effects.RequestRemoved,
        identity_effects.StatusChanged,
    }
)


def tell(effect: object, book: ContactBook, devices: KnownDevices) -> list[NodeEvent]:
    """Return the events that users see of *effect*; several effects may be the same to them."""
    match effect:
        case (
            identity_effects.ContactAdded(account)
            | identity_effects.ContactRemoved(account)
            | identity_effects.ContactConfirmed(account)
            | identity_effects.ConversationChanged(account)
        ):
            return [_contact(book, account)]
        case identity_effects.RequestReceived(account, request):
            return [
                RequestReceived(
                    book.account,
                    account,
                    request.conversation_id,
                    request.payload,
                    request.received_ms / _SECOND_MS,
                )
            ]
        case identity_effects.RequestRemoved(account):
            return [RequestClosed(book.account, account)]
        case identity_effects.DeviceAdded(device) | identity_effects.DeviceChanged(device):
            return [_device(book, devices, device)]
        case identity_effects.DeviceRemoved(device):
            return [DeviceRemoved(book.account, device)]
        case _:
            return []  # a status: what a contact may do is told with the contact


def _contact(book: ContactBook, account: AccountId) -> ContactChanged:
    contact = book.contacts[account]
    return ContactChanged(
        book.account,
        account,
        contact.is_active,
        contact.confirmed,
        contact.is_banned,
        contact.conversation_id,
    )


def _device(book: ContactBook, devices: KnownDevices, device: DeviceId) -> DeviceChanged:
    known = devices.devices.get(device)
    return DeviceChanged(book.account, device, "" if known is None else known.name)
