"""The server's answers, endpoint by endpoint."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.crypto import PrivateKey
from shoal.names import NameRecord, NameServerConfig, NameServerEngine, NameServerLimits
from shoal.names.effects import Effect, KeepIntent, Reply, ReplyPage, Request, Reserve, Response
from shoal.names.wire import encode_key, encode_registration, encode_signature
from tests.unit.names.memory_index import MemoryIndex
from tests.unit.names.people import account_of, forged, key_of, owner_of, record_of

WALL = 1.7e9
ALICE, BOB = record_of("alice"), record_of("bob")
UNPROVEN = forged(record_of("carol"), signature=b"x" * 256)


def engine_of(*records: NameRecord, **settings_: Any) -> NameServerEngine:
    """Return a server that has these records."""
    limits = NameServerLimits(**settings_.pop("limits", {}))
    index = settings_.pop("index", None) or MemoryIndex(*records)
    engine = NameServerEngine(NameServerConfig(limits=limits, **settings_), index)
    engine.registrations.chain_up(0.0, WALL)
    return engine


def ask(
    engine: NameServerEngine, target: str, body: bytes | None = None, client: str = "c"
) -> list[Effect]:
    """Send a request: a POST if there is a body."""
    method = "GET" if body is None else "POST"
    return engine.receive(1, Request(method, target, body or b"", client), 0.0, WALL)


def answer(effects: list[Effect]) -> tuple[int, Any]:
    """Return status and body of the only effect."""
    (reply,) = effects
    assert isinstance(reply, Reply)
    assert reply.request == 1
    return reply.response.status, json.loads(reply.response.body)


def response(effects: list[Effect]) -> Response:
    """Return the whole answer."""
    (reply,) = effects
    assert isinstance(reply, Reply)
    return reply.response


def changed(record: NameRecord, **fields: object) -> bytes:
    """Return a registration's body with other fields."""
    return json.dumps(json.loads(encode_registration(record)) | fields).encode()


def test_a_name_is_found() -> None:
    """In JamiNS's words, in any case, percent-encoded or not."""
    engine = engine_of(ALICE, BOB)

    for target in ("/name/alice", "/name/ALICE", "/name/al%69ce?x=1"):
        assert answer(ask(engine, target)) == (
            200,
            {
                "name": "alice",
                "addr": f"0x{ALICE.account}",
                "publickey": encode_key(ALICE.public_key),
                "signature": encode_signature(ALICE.signature),
            },
        )
    assert engine.stats.found == engine.stats.lookups == 3


def test_fields_of_a_name() -> None:
    """One field with the name."""
    engine = engine_of(ALICE)

    assert answer(ask(engine, "/name/alice/owner")) == (
        200,
        {"name": "alice", "owner": "0x" + owner_of("alice").hex()},
    )
    status, body = answer(ask(engine, "/name/Alice/publickey"))
    assert base64.b64decode(body["publickey"]).decode() == key_of("alice").public_key.to_pem()
    status, body = answer(ask(engine, "/name/alice/signature"))
    assert (status, base64.b64decode(body["signature"])) == (200, ALICE.signature)
    assert answer(ask(engine, "/name/bob/owner"))[0] == 404


def test_an_account_is_found() -> None:
    """With and without 0x."""
    engine = engine_of(ALICE)

    for text in (str(ALICE.account), f"0x{str(ALICE.account).upper()}"):
        assert answer(ask(engine, f"/addr/{text}")) == (200, {"name": "alice"})
    assert answer(ask(engine, f"/addr/{account_of('bob')}")) == (
        404,
        {"error": "address not registered"},
    )


def test_what_is_not_found() -> None:
    """Free, malformed, and proven by nothing."""
    engine = engine_of(UNPROVEN)

    assert answer(ask(engine, "/name/alice")) == (404, {"error": "name not registered"})
    assert answer(ask(engine, "/name/carol"))[0] == 404
    assert answer(ask(engine, f"/addr/{UNPROVEN.account}"))[0] == 404
    assert answer(ask(engine, "/name/a"))[0] == 400
    assert answer(ask(engine, "/name/%FF%00"))[0] == 400
    assert answer(ask(engine, "/addr/alice"))[0] == 400
    assert answer(ask(engine, "/elsewhere"))[0] == 404
    assert engine.stats.malformed == 3


def test_a_server_that_has_not_read_the_chain_does_not_guess() -> None:
    """That there is none would be one; what it has, it serves."""
    engine = engine_of(ALICE)
    engine._index.is_complete = False  # type: ignore[attr-defined]  # noqa: SLF001

    assert answer(ask(engine, "/name/alice"))[0] == 200
    assert response(ask(engine, "/name/bob")).status == 503
    assert response(ask(engine, f"/addr/{BOB.account}")).retry_after is not None


def test_pages() -> None:
    """The driver writes what is about the process; the description is here."""
    engine = engine_of()

    assert ask(engine, "/metrics") == [ReplyPage(1, "/metrics")]
    assert ask(engine, "/healthz") == [ReplyPage(1, "/healthz")]
    status, body = answer(ask(engine, "/openapi.json"))
    assert (status, body["openapi"]) == (200, "3.1.0")


def test_methods() -> None:
    """What is allowed is said."""
    engine = engine_of()
    (reply,) = engine.receive(1, Request("DELETE", "/name/alice", b"", "c"), 0.0, WALL)

    assert isinstance(reply, Reply)
    assert (reply.response.status, reply.response.allowed) == (405, ("GET", "HEAD", "POST"))


def test_registering() -> None:
    """The record that goes to the chain has the key in DER and the name in lower case."""
    engine = engine_of()

    keep, reserve = ask(engine, "/name/Alice", encode_registration(ALICE))
    assert isinstance(keep, KeepIntent)
    assert reserve == Reserve(ALICE)
    pem = key_of("bob").public_key.to_pem().encode() + b"\0"
    body = changed(BOB, publickey=base64.b64encode(pem).decode(), addr=f"0x{BOB.account}")
    assert ask(engine, "/name/bob", body)[1] == Reserve(BOB)


@pytest.mark.parametrize(
    ("target", "body", "status"),
    [
        ("/name/al", encode_registration(ALICE), 400),
        ("/name/al%20ice", encode_registration(ALICE), 400),
        ("/name/alice", b"", 400),
        ("/name/alice", b"not json", 400),
        ("/name/alice", changed(ALICE, owner=None), 400),
        ("/name/alice", changed(ALICE, addr="0x12"), 400),
        ("/name/alice", changed(ALICE, signature="?"), 400),
        ("/name/alice", changed(ALICE, publickey=""), 400),
        ("/name/alice", changed(ALICE, publickey="aaaa"), 401),
        ("/name/alice", changed(ALICE, addr=str(BOB.account)), 401),
        ("/name/alice", changed(ALICE, signature=encode_signature(BOB.signature)), 401),
        ("/name/alicia", encode_registration(ALICE), 401),
        ("/name/bob", encode_registration(record_of("alice", "bob")), 403),
        ("/name/bobby", encode_registration(record_of("bob", "bobby")), 403),
        ("/name/bob", encode_registration(BOB.with_owner(owner_of("alice"))), 403),
        ("/name/carol", encode_registration(record_of("carol")), 403),
        ("/name/bob", encode_registration(BOB), 200),
    ],
)
def test_registrations_that_end_at_once(target: str, body: bytes, status: int) -> None:
    """The statuses that Jami understands, and nothing sent."""
    got, fields = answer(ask(engine_of(BOB, UNPROVEN), target, body))

    assert got == status
    assert fields["success"] is (status == 200)


def test_weak_keys_prove_nothing() -> None:
    """An account of another kind than Jami's."""
    key = PrivateKey.generate(1024)
    body = changed(
        ALICE,
        addr=str(key.public_key.id),
        publickey=encode_key(key.public_key.spki),
        signature=encode_signature(key.sign(b"alice")),
    )

    assert answer(ask(engine_of(), "/name/alice", body))[0] == 401


def test_mirrors_register_nothing() -> None:
    """They say so with a 5xx: Jami takes any 4xx as "taken"."""
    engine = engine_of(ALICE, is_read_only=True)

    assert answer(ask(engine, "/name/bob", encode_registration(BOB)))[0] == 501
    assert answer(ask(engine, "/name/alice"))[0] == 200


def test_lookups_have_a_rate() -> None:
    """Beyond it a 503, not a 429, which Jami would take as "not found"."""
    engine = engine_of(ALICE, limits={"lookups_burst": 2, "lookups_per_second": 1.0})

    assert [response(ask(engine, "/name/alice")).status for _ in range(3)] == [200, 200, 503]
    assert response(ask(engine, "/name/alice")).retry_after == 1
    assert response(ask(engine, "/name/alice", client="d")).status == 200
    assert ask(engine, "/healthz") == [ReplyPage(1, "/healthz")]
    assert engine.stats.limited == 2


def test_registrations_have_a_rate() -> None:
    """Of one client and of all; repeating one that is under way or done costs nothing."""
    limits = {"registrations_burst": 1, "registrations_per_hour_total": 2}
    engine = engine_of(BOB, limits=limits)

    assert len(ask(engine, "/name/alice", encode_registration(ALICE))) == 2
    assert ask(engine, "/name/alice", encode_registration(ALICE)) == []
    assert answer(ask(engine, "/name/bob", encode_registration(BOB)))[0] == 200
    assert answer(ask(engine, "/name/dave", encode_registration(record_of("dave"))))[0] == 503
    body = encode_registration(record_of("dave"))
    assert len(ask(engine, "/name/dave", body, "d")) == 2
    body = encode_registration(record_of("erin"))
    assert answer(ask(engine, "/name/erin", body, "e"))[0] == 503
    assert engine._registration_rate.left("e", 0.0) == 1.0  # noqa: SLF001 - it was not used up


def test_progress() -> None:
    """What became of a registration: ours alone, for those who were told to wait."""
    engine = engine_of(BOB, UNPROVEN)
    ask(engine, "/name/alice", encode_registration(ALICE))

    for name, state in (
        ("alice", "pending"),
        ("bob", "registered"),
        ("carol", "unusable"),
        ("dave", "free"),
    ):
        status, body = answer(ask(engine, f"/registration/{name}"))
        assert (status, body["state"]) == (200, state)
    engine.registrations.refused("alice", "for a reason", 0.0, WALL)
    assert answer(ask(engine, "/registration/Alice"))[1]["detail"] == "for a reason"
    assert answer(ask(engine, "/registration/a"))[0] == 400


def test_time_is_handed_on() -> None:
    """The deadlines are those of registrations."""
    engine = engine_of()
    assert engine.next_deadline() is None
    ask(engine, "/name/alice", encode_registration(ALICE))

    deadline = engine.next_deadline()
    assert deadline is not None
    (reply,) = engine.advance(deadline)
    assert isinstance(reply, Reply)
    assert reply.response.status == 503


@settings(max_examples=300)
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS"]),
    st.builds(
        "/{}/{}{}".format,
        st.sampled_from(["name", "addr", "registration"]),
        st.text(),
        st.sampled_from(["", "/owner", "/x"]),
    )
    | st.text(),
    st.binary(max_size=50) | st.just(encode_registration(ALICE)),
)
def test_any_request_is_answered_once(method: str, target: str, body: bytes) -> None:
    """Never with a failure of ours."""
    engine = engine_of(BOB)

    effects = engine.receive(1, Request(method, target, body, "c"), 0.0, WALL)
    replies = [each for each in effects if isinstance(each, Reply | ReplyPage)]
    assert len(replies) == 1 or Reserve(ALICE) in effects
    for reply in replies:
        if isinstance(reply, Reply):
            assert reply.response.status in {200, 400, 401, 403, 404, 405}
