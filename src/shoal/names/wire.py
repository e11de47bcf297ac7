"""JamiNS over HTTP: JSON bodies to values and back, both directions side by side.

    GET  /name/<name>             {"name", "addr": "0x…", "publickey", "signature"}
    GET  /name/<name>/publickey   {"name", "publickey"}; likewise signature, owner
    GET  /addr/<id>               {"name"}
    POST /name/<name>             {"addr", "owner", "signature", "publickey"} -> {"success": true}

Ids and addresses are 40 hex digits, with or without `0x`. `publickey` is the base64 of PEM text,
`signature` the base64 of an RSA signature. Jami 13.7 sends PEM with a NUL at its end.

Source: docs/protocol/names.md; Jami namedirectory.cpp.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final

from shoal.chain import ChainAddress
from shoal.core import AccountId, DecodeError
from shoal.core.records import dataclass
from shoal.crypto import PublicKey
from shoal.names.record import SIGNATURE_SIZE_MAX, NameRecord, read_key

BODY_SIZE_MAX: Final = 16 * 1024  # bytes; ours: an 8,192-bit key and its signature take 4 KiB
ANSWER_SIZE_MAX: Final = 1024 * 1024  # bytes; OpenDHT http.cpp reads no longer answer
NESTING_MAX: Final = 8  # ours: deeper JSON is not read; ours is one level
HEX_PREFIX: Final = "0x"
ID_DIGITS: Final = 40  # Jami: of an account id, and of an EVM address
_PUBLIC_KEY_TEXT_MAX: Final = 8 * 1024  # characters; ours: base64 of an 8,192-bit key's PEM: 2 KiB
_SIGNATURE_TEXT_MAX: Final = 4 * ((SIGNATURE_SIZE_MAX + 2) // 3)  # ours: its base64


@dataclass(frozen=True, slots=True)
class Registration:
    """What an account sends to have a name, as it came: nothing is verified yet.

    Attributes:
        account: who wants it.
        owner: who shall own the record on the chain.
        public_key: DER or PEM, as sent.
        signature: of the name, by that key.
    """

    account: AccountId
    owner: ChainAddress
    public_key: bytes
    signature: bytes


def decode_registration(body: bytes) -> Registration:
    """Read the body of a POST.

    Raises:
        DecodeError: a field is missing or malformed.
    """
    fields = decode_object(body, BODY_SIZE_MAX)
    account, owner = _hex20(fields, "addr"), _hex20(fields, "owner")
    if not any(account) or not any(owner):
        raise DecodeError("addr and owner cannot be zero")
    return Registration(
        account=AccountId(account),
        owner=ChainAddress(owner),
        public_key=_base64(fields, "publickey", _PUBLIC_KEY_TEXT_MAX),
        signature=_base64(fields, "signature", _SIGNATURE_TEXT_MAX),
    )


def encode_registration(record: NameRecord) -> bytes:
    """Return the body of a POST, in Jami's order of fields, without `0x`.

    Raises:
        DecodeError: the record has no owner.
    """
    if record.owner is None:
        raise DecodeError("a registration names an owner")
    fields = {
        "addr": str(record.account),
        "owner": record.owner.hex(),
        "signature": encode_signature(record.signature),
        "publickey": encode_key(record.public_key),
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def encode_record(record: NameRecord) -> bytes:
    """Return the answer about a name. What is unknown is left out."""
    fields = {"name": record.name, "addr": HEX_PREFIX + str(record.account)}
    if record.is_signed:
        fields["publickey"] = encode_key(record.public_key)
        fields["signature"] = encode_signature(record.signature)
    return to_json(fields)


def decode_record(body: bytes) -> NameRecord | None:
    """Read the answer about a name; None if it says that there is no such name.

    Nothing is verified: `NameRecord.check` does that.

    Raises:
        DecodeError: it is not such an answer.
        WrongKeyError: the key in it is none.
    """
    fields = decode_object(body, ANSWER_SIZE_MAX)
    if not _text(fields, "addr", is_needed=False):  # Jami takes an empty one as "not found"
        return None
    public_key = _base64(fields, "publickey", _PUBLIC_KEY_TEXT_MAX, is_needed=False)
    return NameRecord(
        name=_text(fields, "name"),
        account=AccountId(_hex20(fields, "addr")),
        public_key=read_key(public_key).spki if public_key else b"",
        signature=_base64(fields, "signature", _SIGNATURE_TEXT_MAX, is_needed=False),
        owner=ChainAddress(_hex20(fields, "owner")) if fields.get("owner") else None,
    )


def encode_reverse(name: str) -> bytes:
    """Return the answer about an account."""
    return to_json({"name": name})


def decode_reverse(body: bytes) -> str | None:
    """Read the answer about an account; None if it says that it has no name.

    Raises:
        DecodeError: it is not such an answer.
    """
    return _text(decode_object(body, ANSWER_SIZE_MAX), "name", is_needed=False) or None


def decode_id(text: str) -> AccountId:
    """Read an account id, with or without `0x`, as it stands in a URL.

    Raises:
        DecodeError: it is none.
    """
    return AccountId(_hex_text(text, "the account id"))


def encode_key(spki: bytes) -> str:
    """Return a key as it travels: the base64 of its PEM."""
    return base64.b64encode(PublicKey.from_spki(spki).to_pem().encode()).decode()


def encode_signature(signature: bytes) -> str:
    """Return a signature as it travels."""
    return base64.b64encode(signature).decode()


def decode_object(body: bytes, size_max: int) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DecodeError: it is none, or too large.
    """
    if len(body) > size_max:
        raise DecodeError(f"{len(body)} bytes of JSON; {size_max} at most")
    if body.count(b"{") + body.count(b"[") > NESTING_MAX:  # no objects here have objects in them
        raise DecodeError("JSON with more objects and arrays in it than any answer has")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DecodeError("not JSON") from error
    if not isinstance(value, dict):
        raise DecodeError("not a JSON object")
    return value


def to_json(fields: dict[str, Any]) -> bytes:
    """Return a JSON object as bytes."""
    return json.dumps(fields, separators=(",", ":")).encode()


def _text(fields: dict[str, Any], name: str, *, is_needed: bool = True) -> str:
    value = fields.get(name)
    if value is None and not is_needed:
        return ""
    if not isinstance(value, str):
        raise DecodeError(f"{name} is missing, or no text")
    return value


def _hex20(fields: dict[str, Any], name: str) -> bytes:
    return _hex_text(_text(fields, name), name)


def _hex_text(text: str, name: str) -> bytes:
    digits = text[2:] if text[:2] in {HEX_PREFIX, "0X"} else text
    if len(digits) != ID_DIGITS or not digits.isascii():
        raise DecodeError(f"{name} is not {ID_DIGITS} hexadecimal digits")
    try:
        return binascii.unhexlify(digits)
    except binascii.Error as error:
        raise DecodeError(f"{name} is not {ID_DIGITS} hexadecimal digits") from error


def _base64(fields: dict[str, Any], name: str, length_max: int, *, is_needed: bool = True) -> bytes:
    text = _text(fields, name, is_needed=is_needed)
    if len(text) > length_max:
        raise DecodeError(f"{name} has {len(text)} characters; {length_max} at most")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:  # binascii.Error, or characters beyond ASCII
        raise DecodeError(f"{name} is not base64") from error
    if is_needed and not data:
        raise DecodeError(f"{name} is empty")
    return data
