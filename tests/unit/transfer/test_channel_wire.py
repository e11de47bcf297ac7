"""Names of channels that carry files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import AccountId, CommitId, ConversationId, DecodeError, DeviceId
from shoal.transfer.channel_wire import (
    START_END,
    FileId,
    FileRequest,
    OwnProfile,
    ProfilePush,
    ProfileQuestion,
    parse_name,
    write_name,
)

CONVERSATION = ConversationId(bytes(range(20)))
DEVICE = DeviceId(bytes(range(32)))
ACCOUNT = AccountId(bytes(range(1, 21)))
COMMIT = CommitId.from_hex("65975eda508dc6352577266fe5663e5279af6a2d")
SHA3 = "ab" * 64
# As the daemon 13.7 wrote it on the wire.
CAPTURED = (
    f"data-transfer://{CONVERSATION}/{DEVICE}/"
    "65975eda508dc6352577266fe5663e5279af6a2d_6767098794034493.bin?start=13107000&end=0"
)

ids = st.binary(min_size=20, max_size=20)
transfers = st.integers(0, 10**20 - 1).map(str)
texts = st.text(st.characters(exclude_categories=["Cs"]))
requests = st.builds(
    FileRequest,
    ids.map(ConversationId),
    st.binary(min_size=32, max_size=32).map(DeviceId),
    st.builds(FileId.of, ids.map(CommitId), transfers, texts),
    st.integers(0, START_END - 1),
    st.integers(0, 2**64 - 1),
)
shas = st.sampled_from(["", SHA3])
profiles = st.one_of(
    st.builds(
        ProfilePush,
        ids.map(ConversationId),
        st.binary(min_size=32, max_size=32).map(DeviceId),
        shas,
        st.integers(0, 2**40),
    ),
    st.builds(ProfileQuestion, ids.map(ConversationId), ids.map(AccountId)),
    st.builds(OwnProfile, shas, st.integers(0, 2**40)),
)


def test_what_jami_wrote() -> None:
    """A captured name is understood, and written the same."""
    name = parse_name(CAPTURED)
    file = FileId(COMMIT, "6767098794034493", "bin")
    assert name == FileRequest(CONVERSATION, DEVICE, file, 13_107_000)
    assert write_name(name) == CAPTURED.replace("&end=0", "&end=0")


@given(requests | profiles)
def test_round_trip(name: FileRequest) -> None:
    """What is written is read as the same."""
    assert parse_name(write_name(name)) == name


@given(st.text() | texts.map(lambda text: f"data-transfer://{text}"))
def test_any_text_gives_a_name_or_an_error(text: str) -> None:
    """Nothing else is ever raised, and what is read writes to something that reads the same."""
    try:
        name = parse_name(text)
    except DecodeError:
        return
    if not (isinstance(name, FileRequest) and name.start >= START_END):
        assert parse_name(write_name(name)) == name


@given(st.integers(0, len(CAPTURED) - 1), st.characters())
def test_a_damaged_name(place: int, character: str) -> None:
    """One character is another: a name, or DecodeError."""
    try:
        parse_name(CAPTURED[:place] + character + CAPTURED[place + 1 :])
    except DecodeError:
        return


@pytest.mark.parametrize(
    "name",
    [
        "",
        "git://x",
        "data-transfer://",
        "data-transfer://profile.vcf/x",
        f"data-transfer://{CONVERSATION}/{DEVICE}",
        f"data-transfer://{CONVERSATION}/{DEVICE}/{COMMIT}",
        f"data-transfer://{CONVERSATION}/{DEVICE}/{COMMIT}_x",
        f"data-transfer://{CONVERSATION}/{DEVICE}/{COMMIT}_1.longest8",
        f"data-transfer://{CONVERSATION}/{DEVICE}/../{COMMIT}_1",
        f"data-transfer://{CONVERSATION}/profile/x.vcf",
        f"data-transfer://{CONVERSATION}/{DEVICE}/{COMMIT}_1?start=-1",
        f"data-transfer://{CONVERSATION}/{DEVICE}/{COMMIT}_1?start=1e3",
        f"data-transfer://{CONVERSATION}/{DEVICE}/{COMMIT}_1?end=99999999999999999999",
        "data-transfer://profile.vcf?sha3=short",
        f"data-transfer://{'x' * 2000}",
    ],
)
def test_what_is_no_name(name: str) -> None:
    """All of these are refused."""
    with pytest.raises(DecodeError):
        parse_name(name)


def test_arguments_that_nobody_knows() -> None:
    """They are passed over, as Jami does; so are those without a value."""
    name = f"data-transfer://{CONVERSATION}/{DEVICE}/{COMMIT}_1?later=1&start=5&flag"
    assert parse_name(name) == FileRequest(CONVERSATION, DEVICE, FileId(COMMIT, "1"), 5)


@pytest.mark.parametrize(
    ("display_name", "extension"),
    [
        ("nice name.bin", "bin"),
        ("archive.tar.gz", "gz"),
        ("no extension", ""),
        ("dot at the end.", ""),
        (".hidden", "hidden"),
        ("a.exactly", "exactly"),  # 7 bytes: the longest
        ("a.eightsix", ""),
        ("a.éééé", ""),  # 8 bytes
        ("a.b/c", ""),
        ("a.b?c", ""),
        ("a.\ud800", ""),
    ],
)
def test_extensions(display_name: str, extension: str) -> None:
    """What stands behind the last dot, up to seven bytes."""
    assert FileId.of(COMMIT, "7", display_name).extension == extension


@pytest.mark.parametrize("transfer_id", ["", "../../x", "1/2", "x", "1" * 21])
def test_what_is_no_transfer_id(transfer_id: str) -> None:
    """Digits only: it becomes part of a path."""
    with pytest.raises(DecodeError):
        FileId.of(COMMIT, transfer_id, "a")
