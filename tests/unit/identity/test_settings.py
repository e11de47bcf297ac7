"""Settings under Jami's names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.identity.settings import DEVICE_SETTINGS, AccountSettings
from tests.unit.identity.strategies import names

JAMI = {
    "Account.alias": "ca",
    "Account.displayName": "CA",
    "Account.hostname": "10.78.0.1:4222",
    "Account.registeredName": "alice-01_x",
    "Account.upnpEnabled": "false",
    "DHT.PublicInCalls": "true",
    "RingNS.uri": "http://names.example",
    "TURN.enable": "true",
    "TURN.password": "ring",
    "TURN.realm": "ring",
    "TURN.server": "turn.example",
    "TURN.username": "ring",
    "Account.sendReadReceipt": "true",
}


def test_jamis_settings_and_back() -> None:
    """All of them, also those that Shoal does not understand."""
    settings = AccountSettings.from_mapping(JAMI)

    assert settings.display_name == "CA"
    assert settings.bootstrap == "10.78.0.1:4222"
    assert settings.allow_public is True
    assert not settings.is_upnp_enabled
    assert settings.others == {"Account.sendReadReceipt": "true"}
    assert settings.to_mapping() == JAMI
    assert "'ring'" in repr(settings)
    assert "turn_password" not in repr(settings)


def test_those_of_a_device_stay_behind() -> None:
    """The device's private key above all."""
    settings = AccountSettings.from_mapping(dict.fromkeys(DEVICE_SETTINGS, "secret"))

    assert settings == AccountSettings()
    assert "TLS.privateKeyFile" in DEVICE_SETTINGS


@given(
    st.builds(
        AccountSettings,
        *[names] * 5,
        st.none() | st.booleans(),
        st.booleans(),
        st.booleans(),
        *[names] * 4,
        st.dictionaries(names.map("X.{}".format), names, max_size=3),
    )
)
def test_settings_round_trip(settings: AccountSettings) -> None:
    """What is written is read."""
    assert AccountSettings.from_mapping(settings.to_mapping()) == settings
