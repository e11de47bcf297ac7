"""Account settings under Jami's names, which archives carry as strings.

Unknown ones are kept and written again: an account that moves through Shoal loses nothing. Those
that concern one device or its files are neither written nor taken.

Source: Jami archive_account_manager / account_schema.h, exportArchive; reference section 2.1.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

# Never written: they are of one device. The TLS ones would give away the device's private key.
DEVICE_SETTINGS: Final = frozenset(
    (
        "Account.archivePath",
        "Account.autoAnswer",
        "Account.deviceID",
        "Account.deviceName",
        "Account.dhtProxyListUrl",
        "Account.proxyEnabled",
        "Account.proxyPushToken",
        "Account.proxyServer",
        "DHT.port",
        "TLS.certificateFile",
        "TLS.certificateListFile",
        "TLS.password",
        "TLS.privateKeyFile",
        "ringtonePath",
        "Account.ringtonePath",
    )
)
_TRUE: Final = "true"


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """What Shoal understands of an account's settings; the others are in `others`.

    Attributes:
        alias: what the user calls the account.
        display_name: what others see.
        registered_name: the name at the name server, as far as it is known here.
        bootstrap: nodes to join the DHT by, `host[:port]` separated by `;`.
        name_server: where names are looked up; empty for the default.
        allow_public: whether strangers may connect; None for the default of the program.
        is_upnp_enabled: whether routers are asked for port mappings.
        is_turn_enabled: whether a TURN server is used.
        turn_server: which one; empty for the default.
        turn_user: its user.
        turn_password: its password.
        turn_realm: its realm.
        others: all further settings, as they came.
    """

    alias: str = ""
    display_name: str = ""
    registered_name: str = ""
    bootstrap: str = ""
    name_server: str = ""
    allow_public: bool | None = None
    is_upnp_enabled: bool = True
    is_turn_enabled: bool = True
    turn_server: str = ""
    turn_user: str = ""
    turn_password: str = field(default="", repr=False)
    turn_realm: str = ""
    others: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, str]) -> AccountSettings:
        """Read settings under Jami's names; those of a device are passed over."""
        named = {*_TEXTS.values(), *_FLAGS.values(), *DEVICE_SETTINGS}
        others = {name: text for name, text in settings.items() if name not in named}
        texts = {name: settings.get(jami, "") for name, jami in _TEXTS.items()}
        flags = {name: settings[jami] == _TRUE for name, jami in _FLAGS.items() if jami in settings}
        return cls(
            alias=texts["alias"],
            display_name=texts["display_name"],
            registered_name=texts["registered_name"],
            bootstrap=texts["bootstrap"],
            name_server=texts["name_server"],
            allow_public=flags.get("allow_public"),
            is_upnp_enabled=flags.get("is_upnp_enabled", True),
            is_turn_enabled=flags.get("is_turn_enabled", True),
            turn_server=texts["turn_server"],
            turn_user=texts["turn_user"],
            turn_password=texts["turn_password"],
            turn_realm=texts["turn_realm"],
            others=others,
        )

    def to_mapping(self) -> dict[str, str]:
        """Return the settings under Jami's names; empty texts are left out."""
        settings = {jami: str(getattr(self, name)) for name, jami in _TEXTS.items()}
        settings = {jami: text for jami, text in settings.items() if text}
        for name, jami in _FLAGS.items():
            flag = getattr(self, name)
            if flag is not None:
                settings[jami] = _TRUE if flag else "false"
        return {**self.others, **settings}


_TEXTS: Final = {
    "alias": "Account.alias",
    "display_name": "Account.displayName",
    "registered_name": "Account.registeredName",
    "bootstrap": "Account.hostname",
    "name_server": "RingNS.uri",
    "turn_server": "TURN.server",
    "turn_user": "TURN.username",
    "turn_password": "TURN.password",
    "turn_realm": "TURN.realm",
}
_FLAGS: Final = {
    "allow_public": "DHT.PublicInCalls",
    "is_upnp_enabled": "Account.upnpEnabled",
    "is_turn_enabled": "TURN.enable",
}
