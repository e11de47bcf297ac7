"""Names of channels that carry files, and ids of files: all that there is of a protocol.

    data-transfer://CONVERSATION/DEVICE/FILE[?start=N&end=M]       the opener fetches
    data-transfer://CONVERSATION/DEVICE/profile.vcf[?sha3=…&modified=…]  the opener sends its vCard
    data-transfer://CONVERSATION/profile/ACCOUNT.vcf               the opener asks for a vCard
    data-transfer://profile.vcf[?sha3=…&modified=…]                the same among own devices

    FILE    COMMIT_TRANSFER[.EXTENSION]

DEVICE is the long id of the *opener*: Jami declines a name that holds the holder's own. The bytes
of the file follow as they are, from *start* up to *end*, 0 being the end of the file; then the
channel is closed. Both generations read *start* and *end* into 32 bits, so neither is ever written
from 2^32 on; and 2026 never gets beyond an *end* inside of the file, so none is ever written.

Source: Jami's transfer_channel_handler.cpp, data_transfer.cpp (getFileId), jamiaccount.cpp
(askForFileChannel); fileutils.cpp (getFileExtension).
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from shoal.core import AccountId, CommitId, ConversationId, DecodeError, DeviceId
from shoal.core.records import dataclass

SCHEME: Final = "data-transfer://"
START_END: Final = 2**32  # Jami's transfer_channel_handler.cpp: both are `unsigned`
NAME_SIZE_MAX: Final = 1024  # ours, in characters: what a channel's name may have
EXTENSION_SIZE_MAX: Final = 7  # Jami's fileutils.cpp, in bytes: longer ones count as none
_NUMBER_MAX: Final = 2**64  # ours: no file is larger
_PROFILE: Final = "profile.vcf"
_TRANSFER: Final = re.compile(r"[0-9]{1,20}")
_FILE: Final = re.compile(r"([0-9a-f]{40})_([0-9]{1,20})(?:\.([^/?\x00-\x1f\x7f]+))?", re.DOTALL)
_NUMBER: Final = re.compile(r"[0-9]{1,20}")
_SHA3: Final = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class FileId:
    """A file of a conversation, as its channels name it."""

    commit: CommitId
    transfer_id: str
    extension: str = ""

    @classmethod
    def of(cls, commit: CommitId, transfer_id: str, display_name: str) -> FileId:
        """Return the id of the file that *commit* offers.

        Raises:
            DecodeError: there is no such transfer id.
        """
        if _TRANSFER.fullmatch(transfer_id) is None:
            raise DecodeError(f"no id of a transfer: {transfer_id[:40]!r}")
        return cls(commit, transfer_id, _extension_of(display_name))

    @classmethod
    def parse(cls, text: str) -> FileId:
        """Read an id.

        Raises:
            DecodeError: it is none.
        """
        found = _FILE.fullmatch(text)
        if found is None:
            raise DecodeError(f"no id of a file: {text[:80]!r}")
        extension = found[3] or ""
        if extension and _extension_of(f".{extension}") != extension:
            raise DecodeError(f"no extension that a file id has: {extension[:40]!r}")
        return cls(CommitId.from_hex(found[1]), found[2], extension)

    def __str__(self) -> str:
        dot = "." if self.extension else ""
        return f"{self.commit}_{self.transfer_id}{dot}{self.extension}"


@dataclass(frozen=True, slots=True)
class FileRequest:
    """The opener, *device*, wants a file, or the part from *start* up to *end*; 0 is its end."""

    conversation: ConversationId
    device: DeviceId
    file: FileId
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class ProfilePush:
    """The opener sends the vCard of its account to a member of a conversation."""

    conversation: ConversationId
    device: DeviceId
    sha3_512: str = ""
    wall_modified: int = 0


@dataclass(frozen=True, slots=True)
class ProfileQuestion:
    """The opener asks for the vCard of an account."""

    conversation: ConversationId
    account: AccountId


@dataclass(frozen=True, slots=True)
class OwnProfile:
    """The opener, another device of our account, sends the vCard of both."""

    sha3_512: str = ""
    wall_modified: int = 0


ChannelName: TypeAlias = FileRequest | ProfilePush | ProfileQuestion | OwnProfile


def is_sha3(text: str) -> bool:
    """Whether *text* is a SHA3-512 as messages and channels write it."""
    return _SHA3.fullmatch(text) is not None


def parse_name(name: str) -> ChannelName:
    """Return what a channel is opened for.

    Raises:
        DecodeError: it carries no file. Nothing else is ever raised.
    """
    if not name.startswith(SCHEME) or len(name) > NAME_SIZE_MAX:
        raise DecodeError("no channel of a file")
    path, _, query = _split_query(name.removeprefix(SCHEME))
    arguments: dict[str, str] = {}
    for part in query.split("&"):
        key, equals, value = part.partition("=")
        if equals:
            arguments[key] = value
    match path.split("/"):
        case [text] if text == _PROFILE:
            return OwnProfile(_sha3(arguments), _number(arguments, "modified"))
        case [conversation, device, text] if text == _PROFILE:
            return ProfilePush(
                ConversationId.from_hex(conversation),
                DeviceId.from_hex(device),
                _sha3(arguments),
                _number(arguments, "modified"),
            )
        case [conversation, "profile", text] if text.endswith(".vcf"):
            account = AccountId.from_hex(text.removesuffix(".vcf"))
            return ProfileQuestion(ConversationId.from_hex(conversation), account)
        case [conversation, device, text]:
            return FileRequest(
                ConversationId.from_hex(conversation),
                DeviceId.from_hex(device),
                FileId.parse(text),
                _number(arguments, "start"),
                _number(arguments, "end"),
            )
        case _:
            raise DecodeError(f"no channel of a file: {name[:80]!r}")


def write_name(name: ChannelName) -> str:
    """Return what a channel is called."""
    match name:
        case FileRequest(conversation, device, file, start, end):
            assert start < START_END, "peers read 32 bits"
            query = f"?start={start}&end={end}" if start or end else ""
            return f"{SCHEME}{conversation}/{device}/{file}{query}"
        case ProfilePush(conversation, device, sha3, modified):
            return f"{SCHEME}{conversation}/{device}/{_PROFILE}{_profile_query(sha3, modified)}"
        case ProfileQuestion(conversation, account):
            return f"{SCHEME}{conversation}/profile/{account}.vcf"
        case OwnProfile(sha3, modified):
            return f"{SCHEME}{_PROFILE}{_profile_query(sha3, modified)}"


def _split_query(text: str) -> tuple[str, str, str]:
    """Split at the last question mark, as Jami does."""
    path, mark, query = text.rpartition("?")
    return (path, mark, query) if mark else (text, "", "")


def _profile_query(sha3: str, modified: int) -> str:
    parts = [f"sha3={sha3}"] if sha3 else []
    parts += [f"modified={modified}"] if modified else []
    return f"?{'&'.join(parts)}" if parts else ""


def _number(arguments: dict[str, str], key: str) -> int:
    text = arguments.get(key, "0")
    if _NUMBER.fullmatch(text) is None or (number := int(text)) >= _NUMBER_MAX:
        raise DecodeError(f"{key} is {text[:40]!r}, not a number")
    return number


def _sha3(arguments: dict[str, str]) -> str:
    text = arguments.get("sha3", "")
    if text and not is_sha3(text):
        raise DecodeError("sha3 is no SHA3-512")
    return text


def _extension_of(display_name: str) -> str:
    """Return what stands behind the last dot, where that can be part of a file id."""
    _, dot, extension = display_name.rpartition(".")
    if not dot or re.search(r"[/?\x00-\x1f\x7f\ud800-\udfff]", extension):
        return ""
    return extension if len(extension.encode()) <= EXTENSION_SIZE_MAX else ""
