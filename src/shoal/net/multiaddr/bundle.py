"""What a device publishes about where it is, signed by itself.

A msgpack array `[record: bin, signature: bin]`; the signature is the device's, over the text
`shoal-addresses`, a zero byte, and the record. The record is a map:

| key | type | |
| --- | --- | --- |
| `v` | uint | 1 |
| `dev` | bin of 32 | the device's long id |
| `seq` | uint64 | rises with each record; milliseconds since 1970 do |
| `exp` | uint64 | seconds since 1970 after which it does not count, a day from now at most |
| `a` | array of str | addresses, best first, at most 16 |
| `rv` | array of bin of 32 | rendezvous nodes: devices that forward offers, at most 5 |

It lives in the DHT at the hash of `addr:` and the device's id in hex, as a value of user type
`addresses`. Whoever holds it may pass it on: it proves itself to those who know the device's key.
Readers skip keys and addresses that they do not know. Private addresses are not for this record.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core import DecodeError, DeviceId, InfoHash
from shoal.core.records import dataclass
from shoal.net.errors import BundleError, MultiaddrError
from shoal.net.multiaddr.address import TEXT_MAX, Multiaddr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shoal.core import PublicKeyId

BUNDLE_USER_TYPE: Final = "addresses"
ADDRESSES_MAX: Final = 16  # design notes on relays, section 3.4
RENDEZVOUS_MAX: Final = 5  # the same
LIFE_MAX: Final = 86_400.0  # seconds; the same
CLOCK_SLACK: Final = 600.0  # seconds by which clocks may differ, ours
SIZE_MAX: Final = 8_192  # bytes, ours: 16 long addresses and a signature of 8192 bits
_VERSION: Final = 1
_DOMAIN: Final = b"shoal-addresses\0"
_KEYS_MAX: Final = 16  # of a record, ours: there are six
_UINT64_MAX: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class AddressBundle:
    """Where a device may be reached, as it says.

    Attributes:
        device: who.
        seq: higher for later records.
        wall_expiry: when it ceases to count.
        addresses: best first.
        rendezvous: devices that forward offers to it.
    """

    device: DeviceId
    seq: int
    wall_expiry: float
    addresses: tuple[Multiaddr, ...]
    rendezvous: tuple[DeviceId, ...] = ()

    @classmethod
    def of(
        cls,
        device: DeviceId,
        addresses: Iterable[Multiaddr],
        wall_now: float,
        *,
        life: float = LIFE_MAX,
        rendezvous: Sequence[DeviceId] = (),
        is_public: bool = True,
    ) -> AddressBundle:
        """Return a record of today; a public one leaves private addresses out."""
        shown = [each for each in addresses if each.is_public or not is_public]
        return cls(
            device,
            int(wall_now * 1000),
            wall_now + min(life, LIFE_MAX),
            tuple(dict.fromkeys(shown))[:ADDRESSES_MAX],
            tuple(rendezvous[:RENDEZVOUS_MAX]),
        )

    def pack(self, sign: Callable[[bytes], bytes]) -> bytes:
        """Return the signed record; *sign* is with the device's key, milliseconds of work."""
        record = msgpack.packb(
            {
                "v": _VERSION,
                "dev": bytes(self.device),
                "seq": self.seq,
                "exp": int(self.wall_expiry),
                "a": [str(each) for each in self.addresses],
                "rv": [bytes(each) for each in self.rendezvous],
            }
        )
        packed: bytes = msgpack.packb([record, sign(_DOMAIN + record)])
        return packed

    @classmethod
    def unpack(
        cls,
        data: bytes,
        spki: bytes,
        wall_now: float,
        verify: Callable[[bytes, bytes, bytes], bool],
    ) -> AddressBundle:
        """Read a record of the device whose public key is *spki*.

        *verify* is that of a `Suite`: is it by the key of this SPKI, over these bytes, this
        signature? It is asked last.

        Raises:
            BundleError: it is none, has expired, or is of another device.
        """
        if len(data) > SIZE_MAX:
            raise BundleError(f"{len(data)} bytes of addresses; {SIZE_MAX} at most")
        envelope = _unpack(data)
        if type(envelope) is not list or len(envelope) != 2:  # noqa: PLR2004 - record and signature
            raise BundleError("not a record and a signature")
        record, signature = envelope
        if type(record) is not bytes or type(signature) is not bytes:
            raise BundleError("record and signature are not bins")
        bundle = _read_record(_unpack(record))
        if bundle.device != hashlib.sha256(spki).digest():
            raise BundleError(f"the addresses of {bundle.device}")
        if not wall_now <= bundle.wall_expiry <= wall_now + LIFE_MAX + CLOCK_SLACK:
            raise BundleError("the addresses have expired, or claim to be good for too long")
        if not verify(spki, _DOMAIN + record, signature):
            raise BundleError("the signature under the addresses is wrong")
        return bundle


def addresses_key(device: PublicKeyId) -> InfoHash:
    """Return where in the DHT the addresses of a device are."""
    return InfoHash.of(f"addr:{device.hex()}".encode())


def newest_bundle(
    found: Iterable[bytes],
    spki: bytes,
    wall_now: float,
    verify: Callable[[bytes, bytes, bytes], bool],
    *,
    above: int = 0,
) -> AddressBundle | None:
    """Return the latest record among what was found that holds, later than *above*; or None."""
    newest: AddressBundle | None = None
    for data in found:
        try:
            bundle = AddressBundle.unpack(data, spki, wall_now, verify)
        except BundleError:
            continue
        if bundle.seq > (above if newest is None else newest.seq):
            newest = bundle
    return newest


def _unpack(data: bytes) -> object:
    try:
        item: object = msgpack.unpackb(data, max_map_len=_KEYS_MAX, max_array_len=64, max_ext_len=0)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise BundleError(f"not a record of addresses: {error}") from error
    return item


def _read_record(item: object) -> AddressBundle:
    if type(item) is not dict or item.get("v") != _VERSION:
        raise BundleError("a record of another version")
    seq, expiry = _uint64(item.get("seq")), _uint64(item.get("exp"))
    texts, nodes = item.get("a"), item.get("rv", [])
    if type(texts) is not list or type(nodes) is not list:
        raise BundleError("addresses that are not an array")
    if len(texts) > ADDRESSES_MAX or len(nodes) > RENDEZVOUS_MAX:
        raise BundleError(f"{len(texts)} addresses and {len(nodes)} rendezvous nodes")
    try:
        device = DeviceId(_bytes(item.get("dev")))
        rendezvous = tuple(DeviceId(_bytes(node)) for node in nodes)
    except DecodeError as error:
        raise BundleError(str(error)) from error
    addresses = tuple(found for text in texts if (found := _read_address(text)) is not None)
    return AddressBundle(device, seq, float(expiry), addresses, rendezvous)


def _read_address(text: object) -> Multiaddr | None:
    """Read an address; None for one of a kind that we do not know."""
    if type(text) is not str or len(text) > TEXT_MAX:
        raise BundleError("an address that is no text")
    try:
        return Multiaddr.parse(text)
    except MultiaddrError:
        return None


def _uint64(item: object) -> int:
    if type(item) is not int or not 0 <= item <= _UINT64_MAX:
        raise BundleError("a record without number or expiry")
    return item


def _bytes(item: object) -> bytes:
    if type(item) is not bytes:
        raise BundleError("an id that is not a bin")
    return item
