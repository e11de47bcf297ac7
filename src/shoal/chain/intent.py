"""An intent: a transaction that is to happen once, from being wanted to being final.

On disk it is a JSON object

version   1
to        hex, or null for the creation of a contract
data      hex
value     decimal text
gas       the gas limit, or null until it is known
nonce     or null until it is signed
raws      hex of each signed form, the newest last: all have the same nonce, so that at most one
          of them can ever be in the chain

Raw forms are written before they are handed in. So whatever a crash interrupts, the next start
knows every transaction that might be in the chain.
"""

from __future__ import annotations

import json
from dataclasses import field
from typing import Any, Final

from shoal.chain.addresses import ChainAddress, TransactionHash
from shoal.chain.errors import InvalidTransactionError
from shoal.chain.transaction import RAW_SIZE_MAX, decode_transaction
from shoal.chain.values import Call
from shoal.core import DecodeError
from shoal.core.records import dataclass

INTENT_SIZE_MAX: Final = 4 * 1024 * 1024  # bytes; ours: a few forms of the largest transaction
FORMS_MAX: Final = 64  # ours: 13 % dearer each time is 2,500 times the first fee
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Form:
    """One signed form of an intent."""

    raw: bytes
    tx_hash: TransactionHash
    fee_wei: int
    priority_fee_wei: int | None


@dataclass(slots=True)
class Intent:
    """A transaction that is wanted, and how far it is.

    Attributes:
        gas_limit: None until the chain estimated it.
        nonce: None until it is signed.
        forms: signed forms, oldest first.
    """

    key: str
    call: Call
    gas_limit: int | None = None
    nonce: int | None = None
    forms: list[Form] = field(default_factory=list)

    def encode(self) -> bytes:
        """Return what goes to disk."""
        call = self.call
        content = {
            "version": _VERSION,
            "to": None if call.to is None else call.to.hex(),
            "data": call.data.hex(),
            "value": str(call.value_wei),
            "gas": self.gas_limit,
            "nonce": self.nonce,
            "raws": [form.raw.hex() for form in self.forms],
        }
        return json.dumps(content).encode()

    @classmethod
    def decode(cls, key: str, data: bytes) -> Intent:
        """Read what `encode` wrote.

        Raises:
            DecodeError: it is something else.
        """
        if len(data) > INTENT_SIZE_MAX:
            raise DecodeError(f"more than {INTENT_SIZE_MAX} bytes of intent")
        try:
            content = json.loads(data)
            if content["version"] != _VERSION:
                raise DecodeError(f"an intent of version {content['version']!r}")
            to, value = content["to"], content["value"]
            intent = cls(
                key=key,
                call=Call(
                    None if to is None else ChainAddress(bytes.fromhex(to)),
                    bytes.fromhex(content["data"]),
                    _number(int(value)),
                ),
                gas_limit=_optional(content["gas"]),
                nonce=_optional(content["nonce"]),
                forms=[_form(bytes.fromhex(raw)) for raw in content["raws"][:FORMS_MAX]],
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DecodeError(f"no intent: {type(error).__name__} {error}") from error
        except InvalidTransactionError as error:
            raise DecodeError(f"no intent: {error}") from error
        if (intent.nonce is None) != (not intent.forms) or (intent.forms and not intent.gas_limit):
            raise DecodeError("an intent that is half signed")
        return intent


def _form(raw: bytes) -> Form:
    signed = decode_transaction(raw)
    made = signed.transaction
    return Form(raw, signed.hash, made.fee_wei, made.priority_fee_wei)


def _optional(value: Any) -> int | None:
    return None if value is None else _number(value)


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise DecodeError(f"no number: {str(value)[:80]}")
    return value


assert RAW_SIZE_MAX * 2 < INTENT_SIZE_MAX, "the largest transaction fits"
