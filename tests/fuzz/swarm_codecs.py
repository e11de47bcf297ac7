"""Targets of the fuzzer about conversations: histories, packs, both ends of a fetch, notices."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from shoal.core import CommitId, ConversationId, DecodeError, DeviceId
from shoal.swarm import Commit, MemoryStore, ObjectKind
from shoal.swarm.contents import Text, read_content
from shoal.swarm.drt_wire import DrtMessage, DrtReader, Find
from shoal.swarm.drt_wire import encode as encode_drt
from shoal.swarm.errors import HistoryTooLargeError, SwarmError
from shoal.swarm.fetching import FetchEngine, ObjectsArrived
from shoal.swarm.history import Graph
from shoal.swarm.message_wire import DeviceMessage, MessageReader
from shoal.swarm.message_wire import encode as encode_message
from shoal.swarm.notices import (
    CommitNotice,
    ComposingNotice,
    DisplayedNotice,
    Invitation,
    InvitationWanted,
    read_notice,
    write_notice,
)
from shoal.swarm.packs import PackReader, write_pack
from shoal.swarm.pkt_line import FLUSH, PktLineReader, encode
from shoal.swarm.serving import SendPack, ServeEngine
from shoal.swarm.sip_wire import SipReader
from shoal.swarm.trees import TreeReader, parse_tree, write_tree

if TYPE_CHECKING:
    from collections.abc import Callable

CONVERSATION: Final = ConversationId(b"c" * 20)
DEVICE: Final = DeviceId(b"d" * 32)
ID: Final = CommitId(b"i" * 20)
TREE: Final = b"100644 profile.vcf\0" + bytes(20) + b"40000 members\0" + bytes(20)
COMMIT: Final = (
    b"tree "
    + b"0" * 40
    + b"\nparent "
    + b"1" * 40
    + b"\nauthor Alice <"
    + b"d" * 64
    + b"> 1800000000 +0000\ncommitter Alice <"
    + b"d" * 64
    + b"> 1800000000 +0000\nsignature AAAA\n\n"
)
BODIES: Final = (
    b'{"body":"hello","type":"text/plain"}',
    b'{"action":"add","type":"member","uri":"' + b"a" * 40 + b'"}',
    b'{"edit":"' + b"e" * 40 + b'","type":"application/edited-message","body":""}',
    b'{"mode":2,"type":"initial"}',
    b'{"type":"vote","uri":"' + b"a" * 40 + b'"}',
    (
        b'{"displayName":"x","sha3sum":"","tid":"1","totalSize":"9",'
        b'"type":"application/data-transfer+json"}'
    ),
    b'{"duration":"1","to":"' + b"a" * 40 + b'","type":"application/call-history+json"}',
    b"Merge commit '" + b"2" * 40 + b"'",
)
NOTICES: Final = (
    CommitNotice(CONVERSATION, ID, DEVICE),
    InvitationWanted(CONVERSATION),
    Invitation(CONVERSATION, (("title", "boat"),), 7),
    DisplayedNotice(CONVERSATION, ID),
    ComposingNotice(CONVERSATION, is_active=True),
)
SIP: Final = (
    b"MESSAGE sip:a@ring.dht SIP/2.0\r\nFrom: <sip:b@ring.dht>\r\nTo: <sip:a@ring.dht>\r\n"
    b"Call-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
)


def commit(data: bytes) -> None:
    """A commit reads or is refused; what it says is a content or is refused; texts are texts."""
    with contextlib.suppress(DecodeError):
        found = Commit.parse(data)
        assert found.raw == data
        content = read_content(found)
        if isinstance(content, Text):
            content.body.encode()


def tree(data: bytes) -> None:
    """A tree is read within its limits, or refused; what is read can be written."""
    with contextlib.suppress(DecodeError):
        names = [name for _, name, _ in parse_tree(data)]
        assert len(set(names)) == len(names)
        assert not {"", ".", "..", ".git"} & {name.lower() for name in names}
    store = MemoryStore()
    top = store.add(ObjectKind.TREE, data)
    with contextlib.suppress(DecodeError, SwarmError):
        write_tree(store, TreeReader(store).read(top))


def pack(data: bytes) -> None:
    """A pack, cut anywhere, gives objects or is refused."""
    store = MemoryStore()
    reader = PackReader(store.objects.get)
    with contextlib.suppress(DecodeError, HistoryTooLargeError):
        for start in range(0, len(data), 37):
            store.add_all(reader.feed(data[start : start + 37]))


def lines(data: bytes) -> None:
    """Lines come out the same however the stream is cut."""
    outcomes = []
    for size in (1, 5, len(data) or 1):
        reader, found = PktLineReader(), list[bytes | None]()
        with contextlib.suppress(DecodeError):
            for start in range(0, len(data), size):
                found += reader.feed(data[start : start + size])
        outcomes.append(found)
    shortest = min(map(len, outcomes))
    assert all(each[:shortest] == outcomes[0][:shortest] for each in outcomes)


def fetch(data: bytes) -> None:
    """A server may say anything: the fetch goes on or fails, and never raises."""
    store = MemoryStore()
    engine = FetchEngine(CONVERSATION, DEVICE, store)
    engine.fetch((ID,), lambda found: False, 0.0)
    for start in range(0, len(data), 61):
        for effect in engine.receive(data[start : start + 61], 0.0):
            if isinstance(effect, ObjectsArrived):
                store.add_all(effect.objects)
    engine.receive_eof(0.0)
    assert not engine.is_busy


def serve(data: bytes) -> None:
    """A client may ask anything: it is answered or fails, and never raises."""
    store, graph = MemoryStore(), Graph()
    top = store.add(ObjectKind.TREE, b"")
    first = Commit.parse(
        b"tree " + top.hex().encode() + b"\n" + COMMIT.split(b"\n", 2)[2] + BODIES[3]
    )
    store.add(ObjectKind.COMMIT, first.raw)
    graph.add(first)
    store.set_head(first.id)
    engine = ServeEngine(CONVERSATION, store, graph)
    for effect in engine.receive(data.replace(b"$" * 40, str(first.id).encode()), 0.0):
        if isinstance(effect, SendPack):
            assert sum(map(len, effect.pieces))


def notice(data: bytes) -> None:
    """A notice reads or is refused; one that reads can be written and reads the same."""
    mime, _, body = data.decode(errors="replace").partition("\n")
    with contextlib.suppress(DecodeError):
        found = read_notice(mime, body)
        if found is not None and not isinstance(found, Invitation):
            assert read_notice(*write_notice(found)) == found


def device_messages(data: bytes) -> None:
    """What comes on `msg:` and `swarm:` channels gives messages, or ends the channel."""
    messages, drt = MessageReader(), DrtReader()
    for feed in (messages.feed, drt.feed):
        with contextlib.suppress(DecodeError):
            for start in range(0, len(data), 29):
                list(feed(data[start : start + 29]))


def sip(data: bytes) -> None:
    """What comes on a `sip` channel gives messages, or ends the channel."""
    reader = SipReader()
    with contextlib.suppress(DecodeError):
        for start in range(0, len(data), 31):
            list(reader.feed(data[start : start + 31]))


def _packs() -> list[bytes]:
    objects = [(ObjectKind.BLOB, b"one"), (ObjectKind.TREE, b""), (ObjectKind.BLOB, b"x" * 500)]
    return [b"".join(write_pack(objects, len(objects)))]


def _served() -> list[bytes]:
    tip = b"%s" % (b"7" * 40)
    band = b"".join(encode(b"\1" + each) for each in _packs())
    return [
        encode(tip + b" HEAD\0side-band-64k\n") + encode(tip + b" refs/heads/main\n") + FLUSH
        + encode(b"NAK\n") + encode(b"\2counting\n") + band + FLUSH
    ]  # fmt: skip


def _asked() -> list[bytes]:
    request = encode(f"git-upload-pack /{CONVERSATION}\0host={DEVICE}\0".encode())
    want = encode(b"want " + b"$" * 40 + b" side-band-64k \n")
    have = encode(b"have " + b"7" * 40 + b"\n")
    return [request + want + FLUSH + have + encode(b"done\n") + FLUSH + request + FLUSH]


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]]] = {
    "swarm-commit": (commit, lambda: [COMMIT + body for body in BODIES]),
    "swarm-fetch": (fetch, _served),
    "swarm-lines": (lines, lambda: [*_served(), *_asked()]),
    "swarm-messages": (
        device_messages,
        lambda: [
            encode_message(DeviceMessage("text/plain", "hello"), 7),
            encode_drt(DrtMessage(find=Find(DEVICE, 2))),
        ],
    ),
    "swarm-notice": (
        notice,
        lambda: ["\n".join(write_notice(each)).encode() for each in NOTICES],
    ),
    "swarm-pack": (pack, _packs),
    "swarm-serve": (serve, _asked),
    "swarm-sip": (sip, lambda: [SIP, SIP * 2]),
    "swarm-tree": (tree, lambda: [TREE, b"40000 devices\0" + bytes(20)]),
}
