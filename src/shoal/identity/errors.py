"""Errors of the identity package.

AccountError                      base, under ShoalError
├── ChainError                    a device's certificate chain proves nothing
│   ├── UnreadableChainError      the bytes are no chain
│   ├── OversizeChainError        too many or too large certificates
│   ├── SelfSignedError           nobody but the device itself vouches for it
│   ├── CyclicChainError          a key certifies itself through others
│   ├── WeakChainError            a key or signature that can be forged
│   ├── WrongSignatureError       a certificate was not signed by the next one
│   ├── NotAnIssuerError          a certificate that may not sign others did
│   ├── RevokedError              an authority has taken a certificate back
│   ├── NotYetValidError          a certificate of the future
│   ├── ExpiredError              a certificate of the past
│   ├── WrongAccountError         the chain of another account's device
│   └── WrongDeviceError          the chain of another device
├── ReceiptError                  a device receipt that does not hold
├── ArchiveError                  an account archive that cannot be used
│   ├── UnreadableArchiveError    the bytes are no archive (also a DecodeError)
│   ├── ArchivePasswordError      the password is missing or wrong
│   └── ArchiveTooLargeError      more than a PIN can carry
├── AccountKeyError               the account's private key is needed, and missing
├── AccountFileError              a file of an account cannot be read or written
├── RevocationError               a device that cannot be revoked
├── ContactError                  a command about contacts that cannot be done
│   ├── UnknownContactError       no such contact
│   ├── UnknownRequestError       no such request
│   ├── OwnAccountError           an account is not its own contact
│   ├── PayloadTooLargeError      a request's profile is too large
│   └── TooManyContactsError      the contact book is full
└── LinkError                     a device could not be linked
    ├── InvalidPinError           the PIN has the wrong form
    ├── PinNotFoundError          nothing is stored under the PIN
    ├── InvalidLinkAddressError   the address has the wrong form (also a DecodeError)
    ├── LinkPasswordError         the password was wrong too often
    ├── LinkTimeoutError          five minutes have passed
    ├── LinkCanceledError         one side canceled
    ├── LinkNetworkError          the connection was lost
    └── LinkProtocolError         the other device does not follow the protocol
"""

from __future__ import annotations

from shoal.core import DecodeError, ShoalError


class AccountError(ShoalError):
    """Base of the identity errors."""


class ChainError(AccountError):
    """The device's certificate chain does not prove who it is."""


class UnreadableChainError(ChainError):
    """These bytes are not a certificate chain. The other side may run incompatible software."""


class OversizeChainError(ChainError):
    """The certificate chain is longer or larger than any real one. It is not looked at."""


class SelfSignedError(ChainError):
    """The device certifies itself: no account vouches for it. Only devices of accounts may talk."""


class CyclicChainError(ChainError):
    """A key appears twice in the certificate chain, so it vouches for itself. It is not believed.

    A chain leads from a device to its account and on to a root, never in a circle.
    """


class WeakChainError(ChainError):
    """A key or signature in the chain is too weak to believe. It takes RSA-2048 and SHA-256."""


class WrongSignatureError(ChainError):
    """A certificate in the chain was not signed by the one above it. It may be forged."""


class NotAnIssuerError(ChainError):
    """A certificate in the chain may not sign others, yet did. It is not believed."""


class RevokedError(ChainError):
    """The device was revoked by its account. Ask its owner to link it anew."""


class NotYetValidError(ChainError):
    """A certificate in the chain is not valid yet. Check the clocks of both devices.

    Attributes:
        seconds: how far in the future its validity begins.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class ExpiredError(ChainError):
    """A certificate in the chain has expired. Its owner has to renew it.

    Attributes:
        seconds: how long ago its validity ended.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class WrongAccountError(ChainError):
    """The chain is that of a device of another account than the one that was asked for."""


class WrongDeviceError(ChainError):
    """The chain is that of another device than the one that was asked for."""


class ReceiptError(AccountError):
    """The device receipt does not fit device and account. Import the account's archive again."""


class ArchiveError(AccountError):
    """The account archive cannot be used."""


class UnreadableArchiveError(ArchiveError, DecodeError):
    """These bytes are not an account archive. Give the file that was exported, unchanged."""


class ArchivePasswordError(ArchiveError):
    """The archive's password is missing or wrong. Give the one it was exported with."""


class ArchiveTooLargeError(ArchiveError):
    """The account is too large to travel under a PIN. Export it to a file instead.

    Attributes:
        size: bytes that it takes.
        limit: bytes that fit.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the account takes {size} bytes; a PIN carries at most {limit}")
        self.size = size
        self.limit = limit


class AccountKeyError(AccountError):
    """This needs the account's private key, which this device does not have.

    Do it on a device that holds the account's archive.
    """


class AccountFileError(AccountError):
    """A file of the account cannot be read or written. Check its path, permissions and the disk."""


class RevocationError(AccountError):
    """This device cannot be revoked: it is this very one, or it is not known."""


class ContactError(AccountError):
    """The contact book cannot do this."""


class UnknownContactError(ContactError):
    """There is no such contact. List the contacts to see their ids."""


class UnknownRequestError(ContactError):
    """There is no request of that account. List the contacts to see who asked."""


class OwnAccountError(ContactError):
    """This is the account's own id. Give the id of somebody else."""


class PayloadTooLargeError(ContactError):
    """The profile is too large for a contact request. Use a smaller picture.

    Attributes:
        size: bytes that were given.
        limit: bytes that fit.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"a profile of {size} bytes; a contact request carries at most {limit}")
        self.size = size
        self.limit = limit


class TooManyContactsError(ContactError):
    """The contact book is full. Remove contacts that are no longer needed."""


class LinkError(AccountError):
    """The device could not be linked."""


class InvalidPinError(LinkError):
    """This is not a PIN: it has eight letters and digits. Type it as the other device shows it."""


class PinNotFoundError(LinkError):
    """Nothing was found under this PIN and password.

    A PIN lives for ten minutes, and the clocks of both devices must agree: make a new one.
    """


class InvalidLinkAddressError(LinkError, DecodeError):
    """This is not the address of a device to link: jami-auth://DEVICE/DIGITS. Copy it whole."""


class LinkPasswordError(LinkError):
    """The password was wrong three times. Start again on both devices."""


class LinkTimeoutError(LinkError):
    """The devices were not linked within five minutes. Start again on both."""


class LinkCanceledError(LinkError):
    """Linking was canceled on one of the two devices."""


class LinkNetworkError(LinkError):
    """The connection between the two devices was lost. Start again on both."""


class LinkProtocolError(LinkError):
    """The other device sent what is no part of linking. It may run incompatible software."""
