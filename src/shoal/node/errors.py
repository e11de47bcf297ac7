"""Errors of the node. Each docstring is what people are shown: what happened, and what to do.

NodeError
├── HomeError               the home directory cannot be used
│   └── HomeTakenError      another process owns it
├── ConfigError             config.toml is not understood
├── NodeStoppedError        the node is not running, or stopped meanwhile
├── UnknownAccountError     no such account here
├── AccountExistsError      the account is here already
├── UnknownDeviceError      no such device of this account
├── UnknownNameError        neither an id nor something that stands for one
├── AmbiguousNameError      something that stands for several
├── NamesMissingError       packages that names take are not installed
├── NobodyAnnouncedError    the account has no device online (also a ConnectError)
├── DeviceNotFoundError     nobody published the chain of the device
├── NotPermittedError       the device is blocked, revoked or a stranger
├── OwnDeviceError          the device is this one
├── TooMuchAskedError       a bound on concurrent work is reached
├── BackupError             a backup cannot be written, or is none
│   ├── BackupPasswordError it has another password
│   └── BackupUnsealedError it has none, and one was given
├── NoRunningNodeError      no node runs in this home
├── ApiError                the public API answered with an error of no type of ours
│   ├── UnknownMethodError  the API has no such method
│   └── ParametersError     parameters that the method does not take
└── SubscriptionsError      too many subscribers
"""

from __future__ import annotations

from shoal.core import ShoalError
from shoal.net.errors import ConnectError, ConnectStep


class NodeError(ShoalError):
    """Base of the node's errors."""


class HomeError(NodeError):
    """The home directory cannot be used. Check its owner and its space, or set SHOAL_HOME."""


class HomeTakenError(HomeError):
    """Another process owns this home. Stop that node, or set SHOAL_HOME to another directory.

    Attributes:
        pid: of the owner, where known.
    """

    def __init__(self, message: str = "", pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class ConfigError(NodeError):
    """The configuration is not understood. Correct the line of config.toml that is named."""


class NodeStoppedError(NodeError):
    """The node does not run. Start it: `shoal up`, `shoal node run`, in Python `async with`."""


class UnknownAccountError(NodeError):
    """There is no such account here. `shoal account list` shows those that are."""


class AccountExistsError(NodeError):
    """The account is here already. `shoal account list` shows it."""


class UnknownDeviceError(NodeError):
    """The account has no such device. `shoal account devices` lists them."""


class UnknownNameError(NodeError):
    """This is no account id of 40 hex digits, no device id of 64, and no name. Copy it whole."""


class AmbiguousNameError(NodeError):
    """This stands for several. Write the id: `shoal conversation list` shows those there are.

    Attributes:
        found: the ids that it may stand for, as hex digits.
    """

    def __init__(self, message: str = "", found: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.found = found


class NamesMissingError(NodeError):
    """Names take packages that are not installed. Install them: pip install 'shoal[names]'."""


class NobodyAnnouncedError(NodeError, ConnectError):
    """No device of this account is online. Try again when it is; requests are sent again then."""

    def __init__(self, message: str) -> None:
        ConnectError.__init__(self, ConnectStep.ANNOUNCEMENT, message)


class DeviceNotFoundError(NodeError):
    """Nobody published the certificates of this device. It may never have been online lately."""


class NotPermittedError(NodeError):
    """The device is blocked, revoked or a stranger. Add its account as a contact first."""


class OwnDeviceError(NodeError):
    """This is the device you are using. Choose another one."""


class TooMuchAskedError(NodeError):
    """Too much is under way at once. Try again shortly."""


class BackupError(NodeError):
    """The backup cannot be written or read. Look at its disk, or use another copy of it."""


class BackupPasswordError(BackupError):
    """The backup has another password. Nothing was restored."""


class BackupUnsealedError(BackupError):
    """A password was given, and the file has none: it may be another one than you have made.

    Nothing was restored. If it is yours all the same, restore it without a password.
    """


class NoRunningNodeError(NodeError):
    """No node runs in this home. `shoal node run` starts one."""


class ApiError(NodeError):
    """The node answered with an error. Its log says more.

    Attributes:
        kind: the name of the error's class.
    """

    def __init__(self, message: str = "", kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class UnknownMethodError(ApiError):
    """The node's API has no such method. Node and command may be of different versions."""


class ParametersError(ApiError):
    """The method does not take these parameters. See the reference of the API."""


class SubscriptionsError(NodeError):
    """There are as many subscribers as allowed. Close some."""
