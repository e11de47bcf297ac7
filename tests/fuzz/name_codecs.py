"""Targets of the fuzzer about names: what servers answer, what clients ask, what people type."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shoal.names import NameServerConfig, NameServerEngine, exchange, parse_address
from shoal.names.effects import IndexStatus, Reply, ReplyPage, Request, Reserve
from shoal.names.errors import AddressFormatError, NamesError
from shoal.names.exchange import HttpAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.core import AccountId
    from shoal.names.effects import IndexedName

VECTORS: Final = Path(__file__).parents[1] / "vectors" / "names" / "jami.json"
STATUSES: Final = (200, 200, 200, 302, 400, 401, 403, 404, 429, 500, 503)
METHODS: Final = ("GET", "POST", "HEAD", "PUT")


class _Nothing:
    """An index without names."""

    def find(self, name: str) -> IndexedName | None:
        """Nobody has it."""
        return None

    def name_of(self, account: AccountId) -> str | None:
        """It has none."""
        return None

    def status(self) -> IndexStatus:
        """All was read."""
        return IndexStatus(is_complete=True)


def answer(data: bytes) -> None:
    """What a server says is understood or refused, and a record that passes proves itself."""
    status = STATUSES[data[0] % len(STATUSES)] if data else 200
    got = HttpAnswer(status, data[1:])
    with contextlib.suppress(NamesError):
        record = exchange.read_name(got, "harbour")
        assert record is None or record.name == "harbour"
    for read in (exchange.read_account, exchange.read_registration):
        with contextlib.suppress(NamesError):
            read(got)


def request(data: bytes) -> None:
    """Any request is answered once, or handed to the chain."""
    engine = NameServerEngine(NameServerConfig(), _Nothing())
    engine.registrations.chain_up(0.0, 0.0)
    target, _, body = data[1:].partition(b"\n")
    method = METHODS[data[0] % len(METHODS)] if data else "GET"
    effects = engine.receive(1, Request(method, target.decode("latin-1"), body, "fuzzer"), 0.0, 0.0)
    assert sum(isinstance(each, Reply | ReplyPage | Reserve) for each in effects) == 1


def address(data: bytes) -> None:
    """What people type is an address or none."""
    with contextlib.suppress(AddressFormatError):
        parse_address(data.decode(errors="replace"))


def known_requests() -> list[bytes]:
    """Return what real clients ask, as the target takes it."""
    asked = [each for group in json.loads(VECTORS.read_text()).values() for each in group]
    found = []
    for each in asked:
        head, _, body = each.partition("\r\n\r\n")
        method, target, _ = head.split(" ", 2)
        found.append(bytes([METHODS.index(method)]) + f"{target}\n{body}".encode())
    return found


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]]] = {
    "name-address": (address, lambda: [b"jami:alice@http://[::1]:80", b"ring:" + b"ab" * 20]),
    "name-answer": (answer, lambda: [b"\0" + _record(), b'\0{"name":"harbour"}']),
    "name-request": (request, known_requests),
}


def _record() -> bytes:
    """Return an answer about a name, made of what a real client sent to register it."""
    asked = json.loads(VECTORS.read_text())["2026"][-1]
    fields = json.loads(asked.partition("\r\n\r\n")[2])
    kept = {name: fields[name] for name in ("addr", "publickey", "signature")}
    return json.dumps({"name": "harbour", **kept}).encode()
