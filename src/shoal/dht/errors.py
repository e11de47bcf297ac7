"""Errors of the DHT. Each docstring is what people are shown: what happened, and what to do.

DhtError
├── ValueTooLargeError        a value beyond 64 KiB
├── NotConnectedError         no DHT node answered
│   └── StoredOnlyHereError   a put that reached no other node
├── PutRefusedError           the value may not replace the one that is stored
├── BindError                 the address cannot be listened on
│   └── PortTakenError        another program has the UDP port
├── KeyFormatError            a key that is neither 40 hex digits nor text
├── NoIdentityError           signing or decrypting without a private key
├── CertificateNotFoundError  nobody published the certificate
├── StateFileError            a state file that cannot be read
├── TooManyOperationsError    a bound on concurrent work is reached
├── ResultsLostError          results came faster than they were read
├── BootstrapFormatError      a bootstrap address that is not host[:port]
├── NodeClosedError           the node was closed during the operation
├── UnsuitableKeyError        a key that DHT values can't be signed with or encrypted to
├── SequenceExhaustedError    a signed value that was edited 65,535 times
├── IndexKeyError             a key or an entry that doesn't fit the index
├── UnsupportedByProxyError   the HTTP proxy interface has no such operation
└── ProxyError                the HTTP proxy failed or answered nonsense
"""

from __future__ import annotations

from shoal.core import ShoalError


class DhtError(ShoalError):
    """Base of the DHT errors."""


class ValueTooLargeError(DhtError):
    """The value is larger than the 65,536 bytes that DHT nodes store. Put it in parts."""


class NotConnectedError(DhtError):
    """No DHT node answered. Check the network and the bootstrap address."""


class PutRefusedError(DhtError):
    """Another value is stored under this key and id, and this one may not replace it.

    Choose another id, wait for the stored value to expire, or use signed values to edit them.
    """


class BindError(DhtError):
    """This address cannot be listened on. Name one of this machine, and a port of 1024 or more."""


class PortTakenError(BindError):
    """The port is taken. Stop what has it, choose another port, or take port 0 for any."""


class KeyFormatError(DhtError):
    """The key is neither 40 hexadecimal digits nor a non-empty text."""


class NoIdentityError(DhtError):
    """This needs a private key. Start the node with an identity."""


class CertificateNotFoundError(DhtError):
    """Nobody published a certificate under this id. Is its owner online?"""


class StateFileError(DhtError):
    """The state file cannot be read or written. Name one of ours, in a directory that exists."""


class TooManyOperationsError(DhtError):
    """Too many operations are under way. Wait for some to end, then try again."""


class NodeClosedError(DhtError):
    """The DHT node was closed before the operation ended."""


class UnsupportedByProxyError(DhtError):
    """The HTTP proxy interface has no such operation. Use a node of your own."""


class ProxyError(DhtError):
    """The HTTP proxy failed, or answered something that is not its protocol. Try another one."""


class UnsuitableKeyError(DhtError):
    """DHT values are signed with and encrypted to RSA keys only. Take an RSA identity."""


class SequenceExhaustedError(DhtError):
    """This signed value has been edited 65,535 times, as often as can be. Choose another id."""


class IndexKeyError(DhtError):
    """The key does not fit the index: other fields than it has, or one longer than it allows."""


class StoredOnlyHereError(NotConnectedError):
    """No other node took the value: only this node has it. Connect to a network, then put it again.

    Attributes:
        value_id: under which it is stored here, until its life ends.
    """

    def __init__(self, value_id: int) -> None:
        super().__init__(f"no other node took value {value_id:x}: it is stored on this node only")
        self.value_id = value_id


class ResultsLostError(DhtError):
    """Results came faster than they were read, and some were dropped. Read faster, or ask for less.

    Attributes:
        missed: how many.
    """

    def __init__(self, missed: int) -> None:
        super().__init__(f"{missed} results came faster than they were read and were dropped")
        self.missed = missed


class BootstrapFormatError(DhtError):
    """A bootstrap address is HOST, HOST:PORT, an IP address, or [IPV6]:PORT."""
