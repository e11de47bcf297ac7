"""Which exit status an error leads to, room by room; `shoal --help` says what they mean."""

# ruff: noqa: PLC0415 - a command that succeeds loads no errors

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.core.errors import DecodeError

if TYPE_CHECKING:
    from shoal.cli.common import Exit


def status_of(error: Exception) -> Exit:
    """Return the exit status that an error leads to."""
    from shoal.cli.common import Exit

    for room in (_of_names, _of_chain, _of_conversations, _of_accounts, _of_dht):
        if (status := room(error)) is not None:
            return status
    return Exit.USAGE if isinstance(error, DecodeError) else Exit.FAILED


def _of_names(error: Exception) -> Exit | None:
    from shoal.cli.common import Exit
    from shoal.names import errors

    match error:
        case errors.InvalidNameError() | errors.AddressFormatError():
            return Exit.USAGE
        case errors.NameServerUnavailableError():
            return Exit.NOT_CONNECTED
        case errors.RegistrationRefusedError():
            return Exit.REFUSED
        case errors.NameStoreError() | errors.NameServerBindError():
            return Exit.UNAVAILABLE
        case _:
            return None


def _of_chain(error: Exception) -> Exit | None:
    from shoal.chain import errors
    from shoal.cli.common import Exit

    match error:
        case errors.InvalidAddressError():
            return Exit.USAGE
        case errors.ChainUnreachableError():
            return Exit.NOT_CONNECTED
        case errors.TransactionError():
            return Exit.REFUSED
        case (
            errors.ChainMissingError()
            | errors.ChainBusyError()
            | errors.ChainFileError()
            | errors.ChainDamagedError()
            | errors.EvmMissingError()
            | errors.SignerMissingError()
            | errors.InvalidChainKeyError()
            | errors.InvalidGenesisError()
        ):
            return Exit.UNAVAILABLE
        case _:
            return None


def _of_conversations(error: Exception) -> Exit | None:
    from shoal.cli.common import Exit
    from shoal.swarm import errors

    match error:
        case errors.CloneFailedError():
            return Exit.NOT_CONNECTED
        case errors.NoSuchConversationError():
            return Exit.FAILED
        case errors.InvalidMessageError():
            return Exit.USAGE
        case (
            errors.InvalidCommitError()
            | errors.NotAMemberError()
            | errors.NotAnAdminError()
            | errors.ConversationEndedError()
        ):
            return Exit.REFUSED
        case _:
            return None


def _of_accounts(error: Exception) -> Exit | None:
    from shoal.cli.common import Exit
    from shoal.identity import errors as identity
    from shoal.net.errors import ConnectError
    from shoal.node import errors as node

    match error:
        case ConnectError() | node.DeviceNotFoundError():
            return Exit.NOT_CONNECTED
        case (
            identity.ArchivePasswordError()
            | identity.LinkPasswordError()
            | node.BackupPasswordError()
            | node.BackupUnsealedError()
        ):
            return Exit.REFUSED
        case (
            node.HomeError()
            | node.BackupError()
            | node.ConfigError()
            | node.NoRunningNodeError()
            | identity.AccountFileError()
            | identity.AccountKeyError()
        ):
            return Exit.UNAVAILABLE
        case node.UnknownNameError() | node.AmbiguousNameError() | identity.InvalidPinError():
            return Exit.USAGE
        case _:
            return None


def _of_dht(error: Exception) -> Exit | None:
    from shoal.cli.common import Exit
    from shoal.crypto.errors import CryptoError
    from shoal.dht import errors

    match error:
        case errors.NotConnectedError():
            return Exit.NOT_CONNECTED
        case errors.PutRefusedError() | errors.ValueTooLargeError():
            return Exit.REFUSED
        case errors.BindError() | errors.StateFileError() | CryptoError():
            return Exit.UNAVAILABLE
        case errors.KeyFormatError() | errors.BootstrapFormatError() | errors.NoIdentityError():
            return Exit.USAGE
        case _:
            return None
