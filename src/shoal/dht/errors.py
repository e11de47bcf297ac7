"""Errors of the DHT. Each docstring is what people are shown: what happened, and what to do.

DhtError
├── ValueTooLargeError        a value beyond 64 KiB
├── NotConnectedError         no DHT node answered
├── PutRefusedError           the value may not replace the one that is stored
├── PortTakenError            another program has the UDP port
├── KeyFormatError            a key that is neither 40 hex digits nor text
├── NoIdentityError           signing or decrypting without a private key
├── CertificateNotFoundError  nobody published the certificate
├── StateFileError            a state file that cannot be read
├── TooManyOperationsError    a bound on concurrent work is reached
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
    """The value is larger than the 65,536 bytes that DHT nodes store. Split it, or send a file."""


class NotConnectedError(DhtError):
    """No DHT node answered. Check the network and the bootstrap address."""


class PutRefusedError(DhtError):
    """Another value is stored under this key and id, and this one may not replace it.

    Choose another id, wait for the stored value to expire, or use signed values to edit them.
    """


class PortTakenError(DhtError):
    """Another program uses this UDP port. Stop it, choose another port, or take port 0 for any."""


class KeyFormatError(DhtError):
    """The key is neither 40 hexadecimal digits nor a non-empty text."""


class NoIdentityError(DhtError):
    """This needs a private key. Start the node with an identity."""


class CertificateNotFoundError(DhtError):
    """Nobody published a certificate under this id. Is its owner online?"""


class StateFileError(DhtError):
    """The state file cannot be read. Remove it, or name another one, to start afresh."""


class TooManyOperationsError(DhtError):
    """Too many operations are under way. Wait for some to end, then try again."""


class NodeClosedError(DhtError):
    """The DHT node was closed before the operation ended."""


class UnsupportedByProxyError(DhtError):
    """The HTTP proxy interface has no such operation. Use a node of your own."""


class ProxyError(DhtError):
    """The HTTP proxy failed, or answered something that is not its protocol. Try another one."""


class UnsuitableKeyError(DhtError):
    """DHT values are signed with and encrypted to RSA keys only. Make or ask for an RSA identity."""


class SequenceExhaustedError(DhtError):
    """This signed value has been edited 65,535 times, as often as can be. Choose another id."""


class IndexKeyError(DhtError):
    """The key does not fit the index: other fields than it has, or one longer than it allows."""
