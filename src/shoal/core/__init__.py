"""What every protocol shares: ids, addresses, effects, the engine pattern, errors, entropy."""

from shoal.core.addresses import Address, Family
from shoal.core.effects import Compute, Persist, SendDatagram
from shoal.core.engine import Engine
from shoal.core.entropy import Entropy
from shoal.core.errors import DecodeError, ShoalError
from shoal.core.ids import (
    AccountId,
    CommitId,
    ConversationId,
    DeviceId,
    FixedBytes,
    InfoHash,
    PublicKeyId,
)

__all__ = [
    "AccountId",
    "Address",
    "CommitId",
    "Compute",
    "ConversationId",
    "DecodeError",
    "DeviceId",
    "Engine",
    "Entropy",
    "Family",
    "FixedBytes",
    "InfoHash",
    "Persist",
    "PublicKeyId",
    "SendDatagram",
    "ShoalError",
]
