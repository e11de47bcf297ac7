"""Settings of a node: `config.toml` of its home, read and checked.

    [dht]                 whom to join, and how
    [net]                 how connections are made
    [names]               whom to ask what people's names lead to
    [files]               which files are fetched unasked, and where they go
    [accounts.<id>]       what one account has otherwise: network, bootstrap, name server, …

Unknown names are errors that name the nearest known one: a setting that is misspelled must not be
a setting that is silently ignored.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import difflib
import os
import tomllib
import types
import typing
from dataclasses import field
from pathlib import Path
from typing import Final, TypeVar

from shoal.core.records import dataclass
from shoal.node.errors import ConfigError, HomeError

CONFIG_FILE: Final = "config.toml"
CONFIG_SIZE_MAX: Final = 262_144  # ours: a thousand accounts with settings of their own
HOME_VARIABLE: Final = "SHOAL_HOME"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TurnServer:
    """A TURN server.

    Attributes:
        host: `HOST` or `HOST:PORT`; the port is 3478 if absent.
        username: who we are there.
        password: its proof.
        realm: its realm; empty takes what the server says.
    """

    host: str
    username: str = ""
    password: str = field(default="", repr=False)
    realm: str = ""


# Jami's configuration template: the server that every Jami account uses unless told otherwise.
JAMI_TURN: Final = TurnServer("turn.jami.net", "ring", "ring", "ring")


@dataclass(frozen=True, slots=True)
class DhtSettings:
    """`[dht]`: the key-value network.

    Attributes:
        bootstrap: hosts to join by; empty takes the public ones for network 0, else nobody.
        network: nodes of other networks are ignored; 0 is the public one.
        port: UDP port; 0 takes that of the last run, or any.
        bind: addresses to listen on, at most one per family; empty is all of both.
        proxy: URL of a DHT proxy to go through instead of UDP, or empty.
        discovery: find, and be found by, nodes of the local network.
        client: ask only: store and route for nobody.
        alone: join nobody: the first node of a new network.
    """

    bootstrap: tuple[str, ...] = ()
    network: int = 0
    port: int = 0
    bind: tuple[str, ...] = ()
    proxy: str = ""
    discovery: bool = False
    client: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class NetSettings:
    """`[net]`: connections between devices.

    Attributes:
        turn: TURN servers, for when no direct path exists; empty is none.
        stun: a STUN server, `HOST` or `HOST:PORT`, or empty.
        upnp: ask routers for port mappings, by UPnP and NAT-PMP.
        relay_only: offer no address of ours to anybody: everything goes through TURN.
        listen: `IP:PORT` to take connections at without offer and answer, or empty; port 0 is any.
        addresses: what to publish for that, as in `/ip4/192.0.2.1/tcp/4433`; empty publishes
            *listen*.
        direct: try the addresses that devices publish, besides offer and answer.
        loopback: offer addresses of this machine to itself; for tests and labs.
        ipv6: use IPv6.
    """

    turn: tuple[TurnServer, ...] = (JAMI_TURN,)
    stun: str = ""
    upnp: bool = True
    relay_only: bool = False
    listen: str = ""
    addresses: tuple[str, ...] = ()
    direct: bool = False
    loopback: bool = False
    ipv6: bool = True


@dataclass(frozen=True, slots=True)
class NamesSettings:
    """`[names]`: what people's names lead to.

    Attributes:
        server: the name server of accounts that name none themselves; empty takes that of
            SHOAL_NAME_SERVER, or Jami's, https://ns.jami.net.
        allow_unsigned: believe records that carry no signature, as Jami does.
        ask_own: accounts ask for their own names when they start.
    """

    server: str = ""
    allow_unsigned: bool = False
    ask_own: bool = True


@dataclass(frozen=True, slots=True)
class FilesSettings:
    """`[files]`: files in conversations.

    Attributes:
        accept_max: bytes of a file that is fetched without being asked for; 0 fetches none.
        folder: where files go; empty keeps them with their account.
    """

    accept_max: int = 20 * 1024 * 1024  # what official clients of Jami take
    folder: str = ""


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """`[accounts.<id>]`: what one account has otherwise; absent settings are those of the node.

    Attributes:
        bootstrap: hosts to join by.
        network: its DHT network.
        own_dht: a DHT node of its own, not shared with other accounts.
        proxy: URL of a DHT proxy, or empty for none.
        public: strangers may connect, not only contacts.
        is_hidden: announce nothing: the account can call, and not be found.
        name_server: URL of its name server, instead of the one that the account itself names.
        accept_max: bytes of a file that is fetched without being asked for; 0 fetches none.
        folder: where files go.
    """

    bootstrap: tuple[str, ...] | None = None
    network: int | None = None
    own_dht: bool = False
    proxy: str | None = None
    public: bool = False
    is_hidden: bool = False
    name_server: str | None = None
    accept_max: int | None = None
    folder: str | None = None

    def files(self, default: FilesSettings) -> FilesSettings:
        """Return what holds of files, *default* where the account says nothing."""
        return FilesSettings(
            default.accept_max if self.accept_max is None else self.accept_max,
            default.folder if self.folder is None else self.folder,
        )


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """All settings of a node.

    Attributes:
        dht: the key-value network.
        net: connections between devices.
        names: what people's names lead to.
        files: files in conversations.
        accounts: per account, by the first digits of its id, or all of them.
    """

    dht: DhtSettings = field(default_factory=DhtSettings)
    net: NetSettings = field(default_factory=NetSettings)
    names: NamesSettings = field(default_factory=NamesSettings)
    files: FilesSettings = field(default_factory=FilesSettings)
    accounts: collections.abc.Mapping[str, AccountSettings] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> NodeConfig:
        """Read the text of config.toml.

        Raises:
            ConfigError: it is no TOML, a name is unknown, a value of the wrong kind.
        """
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"config.toml: {error}") from error
        config: NodeConfig = _read(cls, tables, "")
        return config

    @classmethod
    def load(cls, home: Path) -> NodeConfig:
        """Read config.toml of *home*; without one, everything has its default.

        Raises:
            ConfigError: it cannot be read or understood.
        """
        path = home / CONFIG_FILE
        try:
            with path.open("rb") as file:
                data = file.read(CONFIG_SIZE_MAX + 1)
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
        if len(data) > CONFIG_SIZE_MAX:
            raise ConfigError(f"{path} is larger than {CONFIG_SIZE_MAX} bytes")
        try:
            return cls.parse(data.decode())
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is no UTF-8 text") from error

    def account(self, account: str) -> AccountSettings:
        """Return the settings of the account with this id, as hex digits."""
        for prefix, settings in self.accounts.items():
            if account.startswith(prefix):
                return settings
        return AccountSettings()


def home_path(home: str | os.PathLike[str] | None = None) -> Path:
    """Return the home directory: the one given, that of SHOAL_HOME, or the platform's.

    Raises:
        HomeError: none is given, and the user has no directory.
    """
    if home is not None:
        return Path(home).expanduser()
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named).expanduser()
    import platformdirs  # noqa: PLC0415 - slow, and mostly not needed

    try:
        return platformdirs.user_data_path("shoal")
    except RuntimeError:
        raise HomeError("this user has no directory of their own: set SHOAL_HOME") from None


def _read(kind: type[T], table: object, where: str) -> T:
    """Return the dataclass *kind* with the settings of *table*, which is called *where*."""
    if not isinstance(table, dict):
        raise ConfigError(f"config.toml: {where or 'the file'} is a table: [{where}]")
    hints = typing.get_type_hints(kind)
    known = {each.name for each in dataclasses.fields(kind)}  # type: ignore[arg-type]  # one is
    values = {}
    for name, value in table.items():
        path = f"{where}.{name}" if where else name
        if name not in known:
            raise ConfigError(_unknown(path, name, known))
        values[name] = _value(hints[name], value, path)
    try:
        return kind(**values)
    except TypeError as error:
        raise ConfigError(f"config.toml: {where}: {error}") from error


def _unknown(path: str, name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    advice = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
    return f"config.toml: unknown setting {path}; {advice}"


def _value(hint: object, value: object, path: str) -> object:
    """Return *value* as the type *hint* has it."""
    if dataclasses.is_dataclass(hint):
        return _read(hint, value, path)  # type: ignore[arg-type]  # a class, not an instance
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _value(next(each for each in arguments if each is not type(None)), value, path)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"config.toml: {path} is a list, as in {path} = []")
        return tuple(
            _value(arguments[0], each, f"{path}[{index}]") for index, each in enumerate(value)
        )
    if origin is collections.abc.Mapping:
        if not isinstance(value, dict):
            raise ConfigError(f"config.toml: {path} holds tables: [{path}.<id>]")
        return {name: _value(arguments[1], each, f"{path}.{name}") for name, each in value.items()}
    assert isinstance(hint, type)
    if type(value) is not hint:
        raise ConfigError(f"config.toml: {path} is a {_KINDS[hint]}, not {value!r:.60}")
    return value


_KINDS: Final = {str: "text in quotes", int: "whole number", bool: "true or false"}
