"""What an account's engine orders and reports.

Actions about the DHT go to a node that accounts share; those that end carry an op, and come back
with it: values by `values_found` and `values_expired`, the end by `dht_done`. The others go to the
account's connections, or to its folder on disk. Everything that is no action is an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import AccountId, DeviceId, InfoHash, ShoalError
    from shoal.crypto import RevocationList
    from shoal.dht import Value, Where
    from shoal.identity import DeviceChain, DeviceSync, InstantMessage, SyncMessage, TrustRequest
    from shoal.net import PeerRequest


@dataclass(frozen=True, slots=True)
class DhtPut:
    """Action: put *value* at *key*, as it is; `dht_done` follows once.

    That of a permanent put tells of its first success or failure; it goes on until `DhtWithdraw`.
    """

    op: int
    key: InfoHash
    value: Value
    is_permanent: bool = False


@dataclass(frozen=True, slots=True)
class DhtSeal:
    """Action: sign *value* by our device, seal it for *spki*, put it; `dht_done` follows."""

    op: int
    key: InfoHash
    value: Value
    spki: bytes


@dataclass(frozen=True, slots=True)
class DhtGet:
    """Action: look for values at *key*; any number of `values_found`, then `dht_done`.

    With *is_raw* they come as they are stored: unverified.
    """

    op: int
    key: InfoHash
    where: Where = ()
    is_raw: bool = False


@dataclass(frozen=True, slots=True)
class DhtListen:
    """Action: follow the values at *key* until cancelled, decrypted for our device, verified."""

    op: int
    key: InfoHash


@dataclass(frozen=True, slots=True)
class DhtCancel:
    """Action: end a get or a listen, without another word of it."""

    op: int


@dataclass(frozen=True, slots=True)
class DhtWithdraw:
    """Action: stop announcing a permanent value."""

    key: InfoHash
    value_id: int


@dataclass(frozen=True, slots=True)
class KeepChain:
    """Action: store the chain of a device, to know it without asking the DHT."""

    chain: DeviceChain


@dataclass(frozen=True, slots=True)
class DeliverSignal:
    """Action: hand an offer or an answer that came from *peer* to the connections."""

    request: PeerRequest
    peer: DeviceChain
    route: str


@dataclass(frozen=True, slots=True)
class FailSignal:
    """Action: tell the connections that the offer of *attempt* cannot be delivered."""

    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """Action: open a channel; `channel_opened` or `channel_failed` follows with this op."""

    op: int
    peer: DeviceChain
    name: str
    connection_type: str = ""


@dataclass(frozen=True, slots=True)
class SendPacket:
    """Action: write one packet to a channel that an `OpenChannel` opened, or that was accepted."""

    channel: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CloseChannel:
    """Action: close a channel."""

    channel: int


@dataclass(frozen=True, slots=True)
class CloseConnections:
    """Action: drop all connections with an account, or with one device of it, at once."""

    account: AccountId
    device: DeviceId | None = None


@dataclass(frozen=True, slots=True)
class ChainFound:
    """Event: what `find_chain` asked for."""

    op: int
    chain: DeviceChain


@dataclass(frozen=True, slots=True)
class ChainMissing:
    """Event: `find_chain` found none, or none that holds."""

    op: int
    error: ShoalError


@dataclass(frozen=True, slots=True)
class DevicesFound:
    """Event: what `find_devices` asked for: the devices that are announced now."""

    op: int
    devices: tuple[AnnouncedDevice, ...]


@dataclass(frozen=True, slots=True)
class AnnouncedDevice:
    """A device that its account says is online.

    Attributes:
        short_id: its short id.
        device: its long id; None where a very old daemon left its key out.
        spki: its public key, or None likewise.
    """

    short_id: InfoHash
    device: DeviceId | None
    spki: bytes | None


@dataclass(frozen=True, slots=True)
class DeviceAppeared:
    """Event: a device of a watched account said that it is online, for the first time or anew."""

    account: AccountId
    device: AnnouncedDevice


@dataclass(frozen=True, slots=True)
class DeviceLeft:
    """Event: the last announcement of a device has expired."""

    account: AccountId
    device: AnnouncedDevice


@dataclass(frozen=True, slots=True)
class RevocationsSeen:
    """Event: bytes at an account's key that may be a list of revoked devices."""

    account: AccountId
    data: bytes


@dataclass(frozen=True, slots=True)
class TrustRequestArrived:
    """Event: a request, or a confirmation, came from a device whose chain holds."""

    chain: DeviceChain
    request: TrustRequest


@dataclass(frozen=True, slots=True)
class InstantMessageArrived:
    """Event: a message came through the DHT, as 13.7 sends them while it connects.

    Attributes:
        chain: of the device that sent it.
        message: what it says.
    """

    chain: DeviceChain
    message: InstantMessage


@dataclass(frozen=True, slots=True)
class TrustRequestPut:
    """Event: a request for *account* was put into the inbox of a device, or could not be.

    Attributes:
        op: what asked for it.
        device: the short id of the device.
        is_taken: a node of the DHT took it.
    """

    op: int
    account: AccountId
    device: InfoHash
    is_taken: bool


@dataclass(frozen=True, slots=True)
class TrustRequestDone:
    """Event: nothing more is put for *op*; *count* devices had it put into their inbox."""

    op: int
    account: AccountId
    count: int


@dataclass(frozen=True, slots=True)
class DeviceSyncArrived:
    """Event: a device of our own sent its state over the DHT, as 13.7 does."""

    chain: DeviceChain
    sync: DeviceSync


@dataclass(frozen=True, slots=True)
class SyncArrived:
    """Event: a device of our own sent a message on its `sync://` channel."""

    chain: DeviceChain
    message: SyncMessage


@dataclass(frozen=True, slots=True)
class KeepRevocations:
    """Action: store a list of revoked devices of *account*, which was found to be its own.

    Attributes:
        is_applied: the engine has acted upon it.
    """

    account: AccountId
    revocations: RevocationList
    is_applied: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """Event: chain and announcement are on other nodes, or no longer known to be."""

    is_announced: bool
