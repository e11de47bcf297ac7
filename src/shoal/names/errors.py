"""Errors of names. Each docstring is what people are shown: what happened, and what to do.

NamesError
├── InvalidNameError              a name that breaks the rules
├── AddressFormatError            a text that is no address people can type
├── NameNotFoundError             nobody has registered the name, or the account has none
├── RegistrationRefusedError      the server will not register this, now or later
│   ├── NameTakenError            another account has the name
│   ├── AccountNamedError         the account has another name already
│   ├── IncompleteRegistrationError  something in the request is missing or malformed
│   └── SignatureRefusedError     key or signature do not prove the account
├── NameServerUnavailableError    no answer, or a temporary error
│   ├── RegistrationPendingError  the server keeps the request and will carry it out
│   ├── TooManyNameRequestsError  a rate limit
│   └── ReadOnlyMirrorError       a mirror registers nothing
├── BadNameAnswerError            the server answered something that is not its protocol
├── LyingNameServerError          the server's answer is proven false
│   ├── OtherNameAnsweredError    the answer is about a name that was not asked for
│   ├── WrongKeyError             the key in the answer is not the account's
│   ├── WrongSignatureError       the account's key did not sign the name
│   └── ContradictoryAnswerError  name and account do not lead back to one another
├── UnsignedRecordError           the answer carries nothing to check
├── RegistryMissingError          there is no registry contract on that chain
├── NameStoreError                index or journal on disk cannot be used
└── NameServerBindError           the name server cannot listen
"""

from __future__ import annotations

from shoal.core import ShoalError


class NamesError(ShoalError):
    """Base of the errors about names."""


class InvalidNameError(NamesError):
    """The name breaks the rules. A name has 3 to 32 letters a-z, digits, hyphens or underscores."""


class AddressFormatError(NamesError):
    """This is no address. Write an account id of 40 hex digits, a name, or name@server."""


class NameNotFoundError(NamesError):
    """No such name is registered, or the account has no name, on the server that was asked."""


class RegistrationRefusedError(NamesError):
    """The name server refuses to register this. Asking again will not help."""


class NameTakenError(RegistrationRefusedError):
    """Another account has this name, and keeps it for ever. Choose another name."""


class AccountNamedError(RegistrationRefusedError):
    """This account has a name already, and an account can have only one, for ever.

    Attributes:
        name: the one that it has.
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class IncompleteRegistrationError(RegistrationRefusedError):
    """The request lacks something, or a part of it is malformed. Check name and owner address."""


class SignatureRefusedError(RegistrationRefusedError):
    """Key and signature do not prove the account. Register with the key of the account itself."""


class NameServerUnavailableError(NamesError):
    """The name server gives no answer at the moment. Check its address, or try again later.

    Attributes:
        retry_after: seconds that the server asks to wait; None if it does not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RegistrationPendingError(NameServerUnavailableError):
    """The server keeps the request and will carry it out. Register again later to learn the end."""


class TooManyNameRequestsError(NameServerUnavailableError):
    """You asked this name server more than it grants one client. Wait a little."""


class ReadOnlyMirrorError(NameServerUnavailableError):
    """This server is a read-only mirror. Register with the server that it mirrors."""


class BadNameAnswerError(NamesError):
    """The server answered something that is no name server's answer. Check its address."""


class LyingNameServerError(NamesError):
    """The name server's answer is proven false. Do not trust it; ask another server."""


class OtherNameAnsweredError(LyingNameServerError):
    """The server answered about another name than it was asked for. Do not trust it."""


class WrongKeyError(LyingNameServerError):
    """The key in the server's answer is not that of the account it names. Do not trust it."""


class WrongSignatureError(LyingNameServerError):
    """The account that the server names never signed this name. Do not trust the server."""


class ContradictoryAnswerError(LyingNameServerError):
    """The server gives the account a name that leads to another account. Do not trust it."""


class UnsignedRecordError(NamesError):
    """The record carries no signature to check. Allow such only from a server that you trust."""


class RegistryMissingError(NamesError):
    """There is no name registry at that address of the chain. Deploy one, or name the right one."""


class NameStoreError(NamesError):
    """Index or journal of the name server cannot be used. Check the data folder and its disk."""


class NameServerBindError(NamesError):
    """The name server cannot listen there. Choose another port, or an address of this machine."""
