"""What the DHT stores: values, their canonical bytes, and how they are read back.

A value on the wire is a map, in this order:

| key | type | present |
| --- | --- | --- |
| `id` | uint64 | always |
| `dat` | bin (ciphertext) or map `body`, `sig` | always |
| `p` | uint32 | priority, if not 0 |
| `pt` | str | push type, if not empty |

and `body`, whose packed bytes are what a signature covers:

| key | type | present |
| --- | --- | --- |
| `seq` | uint16 | with an owner |
| `owner` | bin, SubjectPublicKeyInfo DER | if the value is signed |
| `to` | bin of 20, key id | with an owner, if there is a recipient |
| `type` | uint16 | always |
| `data` | bin | always |
| `utype` | str | user type, if not empty |

Source: OpenDHT value.h, msgpack_pack_to_sign and msgpack_pack_to_encrypt.
"""

from __future__ import annotations

from dataclasses import field
from typing import Final

from shoal.core import DecodeError, InfoHash
from shoal.core.ids import ZERO_HASH
from shoal.core.records import dataclass
from shoal.dht.packing import (
    UINT16_MAX,
    UINT32_MAX,
    UINT64_MAX,
    pack_bin,
    pack_text,
    pack_uint,
    read_blob,
    read_hash,
    read_text,
    read_uint,
    unpack,
)

VALUE_SIZE_MAX: Final = 65_536  # OpenDHT value.h: MAX_VALUE_SIZE
PACKED_SIZE_MAX: Final = VALUE_SIZE_MAX + 32  # OpenDHT parsed_message.h: room for the headers
# ours: popular values are small and sent often; packing a large one is a copy, holding it twice not
_PACKED_KEPT_MAX: Final = 2048


@dataclass(frozen=True, slots=True, init=False)
class Value:
    """One value: content, and what storers and readers need to know about it.

    Attributes:
        data: content, at most 64 KiB together with signature and texts.
        type: number of its value type, 0 to 65535; sets life time and edit rules.
        id: 1 to 2^64 - 1, unique under its key; 0 lets the engine choose.
        user_type: what *data* is to the application, usually a media type.
        owner: public key of the signer, SubjectPublicKeyInfo DER.
        recipient: key id of whom the value was encrypted to.
        seq: 0 to 65535, raised at each edit of a signed value.
        signature: over `body()`; meaningless without an owner.
        cypher: ciphertext; if set, every body field has its default.
        priority: 0 is the highest, for push notifications.
        push_type: kind of push notification this value causes.
    """

    data: bytes = b""
    type: int = 0
    id: int = 0
    user_type: str = ""
    owner: bytes | None = None
    recipient: InfoHash | None = None
    seq: int = 0
    signature: bytes | None = None
    cypher: bytes | None = None
    priority: int = 0
    push_type: str = ""
    _packed: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def __init__(
        self,
        data: bytes = b"",
        type: int = 0,  # noqa: A002 - the field's own word
        id: int = 0,  # noqa: A002 - the field's own word
        user_type: str = "",
        owner: bytes | None = None,
        recipient: InfoHash | None = None,
        seq: int = 0,
        signature: bytes | None = None,
        cypher: bytes | None = None,
        priority: int = 0,
        push_type: str = "",
    ) -> None:
        # The `__init__` of a frozen dataclass looks up each field by name: this is twice as fast,
        # and a value is made for each one that passes.
        _set_data(self, data)
        _set_type(self, type)
        _set_id(self, id)
        _set_user_type(self, user_type)
        _set_owner(self, owner)
        _set_recipient(self, recipient)
        _set_seq(self, seq)
        _set_signature(self, signature)
        _set_cypher(self, cypher)
        _set_priority(self, priority)
        _set_push_type(self, push_type)
        _set_packed(self, None)

    @property
    def is_encrypted(self) -> bool:
        """Whether only ciphertext is known."""
        return bool(self.cypher)

    @property
    def is_signed(self) -> bool:
        """Whether there is an owner and a signature, valid or not."""
        return self.owner is not None and bool(self.signature)

    @property
    def owner_id(self) -> InfoHash | None:
        """Key id of the owner: SHA-1 of its public key."""
        return None if self.owner is None else InfoHash.of(self.owner)

    @property
    def size(self) -> int:
        """Bytes that count against limits: ciphertext, data, signature and texts.

        Source: OpenDHT value.cpp, Value::size.
        """
        size = len(self.data) + len(self.signature or b"") + len(self.cypher or b"")
        if self.user_type:
            size += len(self.user_type.encode("utf-8", "surrogateescape"))
        if self.push_type:
            size += len(self.push_type.encode("utf-8", "surrogateescape"))
        return size

    def content_equals(self, other: Value) -> bool:
        """Whether a put of *other* only refreshes this value.

        Neither seq, recipient, priority nor push type is looked at.

        Source: OpenDHT value.h, Value::contentEquals.
        """
        if self.cypher or other.cypher:
            return self.cypher == other.cypher
        return (
            self.data == other.data
            and self.type == other.type
            and self.user_type == other.user_type
            and self.owner == other.owner
            and self.signature == other.signature
        )

    def body(self) -> bytes:
        """Return the canonical bytes of the body map, which are the bytes that get signed."""
        parts = [b"", b"\xa4type", pack_uint(self.type), b"\xa4data", pack_bin(self.data)]
        count = 2
        if self.owner is not None:
            head = [b"\xa3seq", pack_uint(self.seq), b"\xa5owner", pack_bin(self.owner)]
            count = 4
            if self.recipient is not None:
                head += (b"\xa2to\xc4\x14", self.recipient)
                count = 5
            parts[1:1] = head
        if self.user_type:
            parts += (b"\xa5utype", pack_text(self.user_type))
            count += 1
        parts[0] = bytes((0x80 + count,))
        return b"".join(parts)

    def content(self) -> bytes:
        """Return the packed `dat`: ciphertext as bin, or body and signature as a map.

        The map is also the plaintext of an encrypted value.
        """
        if self.cypher:
            return pack_bin(self.cypher)
        if self.owner is not None and self.signature:
            return b"".join((b"\x82\xa4body", self.body(), b"\xa3sig", pack_bin(self.signature)))
        return b"\x81\xa4body" + self.body()

    def packed(self) -> bytes:
        """Return the canonical bytes of the whole value."""
        if self._packed is not None:
            return self._packed
        count = 2 + (self.priority != 0) + (self.push_type != "")
        packed = b"".join(
            (
                b"%c\xa2id" % (0x80 + count),
                pack_uint(self.id),
                b"\xa3dat",
                self.content(),
                b"\xa1p" + pack_uint(self.priority) if self.priority else b"",
                b"\xa2pt" + pack_text(self.push_type) if self.push_type else b"",
            )
        )
        if len(packed) <= _PACKED_KEPT_MAX:
            _set_packed(self, packed)
        return packed

    @classmethod
    def unpack(cls, packed: bytes) -> Value:
        """Read one packed value; bytes after it are ignored.

        Raises:
            DecodeError: *packed* is not a value.
        """
        return cls.from_object(unpack(packed))

    @classmethod
    def from_object(cls, item: object) -> Value:
        """Read a value from its unpacked map.

        Raises:
            DecodeError: *item* is not a value.
        """
        if type(item) is not dict or "id" not in item or "dat" not in item:
            raise DecodeError("not a map with id and dat")
        value_id = item["id"]
        if type(value_id) is not int or not 0 <= value_id <= UINT64_MAX:
            raise DecodeError("a value id that is not a uint64")
        priority = 0
        push_type = ""
        if len(item) > 2:  # noqa: PLR2004 - id and dat
            priority = read_uint(item.get("p", 0), UINT32_MAX)
            push_type = read_text(item.get("pt", ""))
        return cls.from_content(value_id, item["dat"], priority, push_type)

    @classmethod
    def from_content(
        cls, value_id: int, content: object, priority: int = 0, push_type: str = ""
    ) -> Value:
        """Read a value from its unpacked `dat`: a bin of ciphertext, or the clear map.

        Raises:
            DecodeError: *content* is neither, or lacks a field it must have.
        """
        if type(content) is bytes:
            return cls(id=value_id, cypher=content or None, priority=priority, push_type=push_type)
        body = content.get("body") if type(content) is dict else None
        if type(content) is not dict or type(body) is not dict:
            raise DecodeError("dat is neither bin nor a map with a body")
        if "data" not in body or "type" not in body:
            raise DecodeError("a body without data or type")
        data = body["data"]
        if type(data) is not bytes:
            data = read_blob(data)
        type_number = read_uint(body["type"], UINT16_MAX)
        user_type = read_text(body["utype"]) if "utype" in body else ""
        if "owner" not in body:
            return cls(
                data, type_number, value_id, user_type, priority=priority, push_type=push_type
            )
        if "seq" not in body or "sig" not in content:
            raise DecodeError("an owner without seq or signature")
        owner = read_blob(body["owner"])
        if not owner:
            raise DecodeError("an empty owner")
        return cls(
            data,
            type_number,
            value_id,
            user_type,
            owner,
            _read_recipient(body["to"]) if "to" in body else None,
            read_uint(body["seq"], UINT16_MAX),
            read_blob(content["sig"]) or None,
            None,
            priority,
            push_type,
        )


(
    _set_data,
    _set_type,
    _set_id,
    _set_user_type,
    _set_owner,
    _set_recipient,
    _set_seq,
    _set_signature,
    _set_cypher,
    _set_priority,
    _set_push_type,
    _set_packed,
) = (Value.__dict__[name].__set__ for name in Value.__slots__)


def _read_recipient(item: object) -> InfoHash | None:
    """Return the recipient, or None for zeros: writers leave a zero recipient out."""
    recipient = read_hash(item)
    return None if recipient == ZERO_HASH else recipient
