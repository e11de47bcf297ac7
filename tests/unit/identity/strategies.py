"""Made-up records for hypothesis."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from shoal.core import AccountId, DeviceId, InfoHash
from shoal.identity.contact import Contact, StoredRequest
from shoal.identity.trust_request import TIME_MS_MAX
from shoal.identity.wire.devices import KnownDevice
from shoal.identity.wire.sync import DeviceSync, SyncedDevice
from tests.unit.identity.samples import CONVERSATIONS

# Few of each, so that they meet; and the whole range.
moments: Final = st.integers(0, 5).map(lambda n: n * 700) | st.integers(0, TIME_MS_MAX)
conversation_ids: Final = st.sampled_from(("", *CONVERSATIONS[:3]))
contacts: Final = st.builds(
    Contact, moments, moments, st.booleans(), st.booleans(), conversation_ids
)
stored_requests: Final = st.builds(
    StoredRequest,
    st.binary(max_size=30),
    conversation_ids,
    moments,
    st.binary(max_size=30),
    moments,
)
account_ids: Final = st.binary(min_size=20, max_size=20).map(AccountId)
device_ids: Final = st.binary(min_size=32, max_size=32).map(DeviceId)
short_ids: Final = st.binary(min_size=20, max_size=20).map(InfoHash)
names: Final = st.text(st.characters(codec="utf-8"), max_size=20)
known_devices: Final = st.builds(
    KnownDevice, names, st.integers(0, 2_000_000_000).map(lambda s: s * 1000)
)
synced_devices: Final = st.builds(SyncedDevice, names, st.none() | short_ids)
syncs: Final = st.builds(
    DeviceSync,
    st.integers(0, 2**64 - 1),
    st.dictionaries(device_ids, synced_devices, max_size=4),
    st.dictionaries(account_ids, contacts, max_size=4),
    st.dictionaries(
        account_ids,
        stored_requests.map(
            lambda it: StoredRequest(
                it.spki, it.conversation_id, it.received_ms, b"", it.invited_ms
            )
        ),
        max_size=4,
    ),
)
