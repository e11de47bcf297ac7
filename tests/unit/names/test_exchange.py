"""What a client makes of a server's answers, honest and not."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.names import answers, exchange
from shoal.names.effects import Response
from shoal.names.errors import (
    AccountNamedError,
    BadNameAnswerError,
    ContradictoryAnswerError,
    IncompleteRegistrationError,
    LyingNameServerError,
    NamesError,
    NameServerUnavailableError,
    NameTakenError,
    OtherNameAnsweredError,
    ReadOnlyMirrorError,
    RegistrationPendingError,
    SignatureRefusedError,
    TooManyNameRequestsError,
    UnsignedRecordError,
    WrongKeyError,
    WrongSignatureError,
)
from shoal.names.exchange import HttpAnswer, HttpQuestion
from shoal.names.wire import encode_record, encode_registration
from tests.unit.names.people import account_of, forged, owner_of, record_of

ALICE = record_of("alice").with_owner(None)


def answered(record: object) -> HttpAnswer:
    """Return a server's answer with this record in it."""
    return HttpAnswer(200, encode_record(record))  # type: ignore[arg-type]


def test_questions() -> None:
    """As Jami asks them."""
    assert exchange.ask_name("alice-1_x") == HttpQuestion("GET", "/name/alice-1_x")
    account = account_of("alice")
    assert exchange.ask_account(account) == HttpQuestion("GET", f"/addr/{account}")
    record = record_of("alice")
    asked = exchange.ask_registration(record)
    assert asked == HttpQuestion("POST", "/name/alice", encode_registration(record))


def test_an_honest_record() -> None:
    """It comes through; so does "not found", in both ways of saying it."""
    assert exchange.read_name(answered(ALICE), "alice") == ALICE
    assert exchange.read_name(HttpAnswer(404, b"{}"), "alice") is None
    assert exchange.read_name(HttpAnswer(200, b'{"name":"alice","addr":""}'), "alice") is None


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (record_of("bob"), OtherNameAnsweredError),
        (forged(ALICE, name="Alice"), OtherNameAnsweredError),
        (forged(ALICE, account=account_of("bob")), WrongKeyError),
        (forged(record_of("bob"), name="alice"), WrongSignatureError),
        (forged(ALICE, signature=record_of("bob").signature), WrongSignatureError),
        (forged(ALICE, signature=b""), UnsignedRecordError),
        (forged(ALICE, public_key=b""), UnsignedRecordError),
        (forged(ALICE, public_key=b"", account=account_of("bob")), UnsignedRecordError),
    ],
)
def test_a_lying_server(record: object, error: type[NamesError]) -> None:
    """Every lie that can be proven has a name; what cannot be checked is not believed."""
    with pytest.raises(error):
        exchange.read_name(answered(record), "alice")
    if error is not UnsignedRecordError:
        assert issubclass(error, LyingNameServerError)


def test_unsigned_records_where_allowed() -> None:
    """As Jami believes them. A lie that is signed stays one."""
    unsigned = forged(ALICE, public_key=b"", signature=b"")

    assert exchange.read_name(answered(unsigned), "alice", allow_unsigned=True) == unsigned
    forgery = forged(ALICE, account=account_of("bob"))
    with pytest.raises(WrongKeyError):
        exchange.read_name(answered(forgery), "alice", allow_unsigned=True)


def test_a_name_must_lead_back() -> None:
    """A server cannot give an account a name that is another's, or nobody's."""
    answer = HttpAnswer(200, b'{"name":"alice"}')

    assert exchange.read_account(answer) == "alice"
    assert exchange.check_reverse(ALICE, "alice", ALICE.account) == ALICE
    for record in (None, record_of("bob", "alice")):
        with pytest.raises(ContradictoryAnswerError):
            exchange.check_reverse(record, "alice", ALICE.account)
    assert exchange.read_account(HttpAnswer(404, b"")) is None
    for body in (b'{"name":"<script>"}', b'{"name":"Alice"}', b"?", b'{"name":1}'):
        with pytest.raises(BadNameAnswerError):
            exchange.read_account(HttpAnswer(200, body))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, BadNameAnswerError),
        (204, BadNameAnswerError),
        (301, BadNameAnswerError),
        (400, BadNameAnswerError),
        (429, TooManyNameRequestsError),
        (500, NameServerUnavailableError),
        (503, NameServerUnavailableError),
    ],
)
def test_lookups_that_are_not_answered(status: int, error: type[NamesError]) -> None:
    """Neither found nor not found."""
    with pytest.raises(error):
        exchange.read_name(HttpAnswer(status, b"<html>"), "alice")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (answers.incomplete("x"), IncompleteRegistrationError),
        (answers.unproven("x"), SignatureRefusedError),
        (answers.taken(account_of("bob")), NameTakenError),
        (answers.other_owner(account_of("bob"), owner_of("bob")), NameTakenError),
        (answers.refused("x"), NameTakenError),
        (answers.named("other"), AccountNamedError),
        (answers.pending("x", 5), RegistrationPendingError),
        (answers.busy("x", 0.1), TooManyNameRequestsError),
        (answers.read_only(), ReadOnlyMirrorError),
    ],
)
def test_our_servers_refusals(answer: object, error: type[NamesError]) -> None:
    """Each arrives as what it was meant as."""
    response = answer
    assert isinstance(response, Response)
    got = HttpAnswer(response.status, response.body, response.retry_after)

    with pytest.raises(error) as caught:
        exchange.read_registration(got)
    assert type(caught.value) is error
    if isinstance(caught.value, NameServerUnavailableError):
        assert caught.value.retry_after == response.retry_after
    if isinstance(caught.value, AccountNamedError):
        assert caught.value.name == "other"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b'{"success":false}', BadNameAnswerError),
        (200, b"", BadNameAnswerError),
        (200, b'{"success":"true"}', BadNameAnswerError),
        (400, b"", IncompleteRegistrationError),
        (401, b"", SignatureRefusedError),
        (403, b"", NameTakenError),
        (404, b"", NameTakenError),
        (409, b"", NameTakenError),
        (429, b"", TooManyNameRequestsError),
        (500, b"", NameServerUnavailableError),
        (502, b"<html>", NameServerUnavailableError),
        (302, b"", NameServerUnavailableError),
    ],
)
def test_any_servers_statuses(status: int, body: bytes, error: type[NamesError]) -> None:
    """As Jami takes them, with words where there were none."""
    with pytest.raises(error) as caught:
        exchange.read_registration(HttpAnswer(status, body))
    assert type(caught.value) is error
    assert str(status) in str(caught.value)


def test_success() -> None:
    """The only way to succeed."""
    exchange.read_registration(HttpAnswer(200, b'{"success":true}'))


def test_a_servers_words_are_cut_and_cleaned() -> None:
    """They end on a terminal."""
    body = json.dumps({"error": "\x1b[31mred" + "x" * 500}).encode()

    with pytest.raises(NameTakenError) as caught:
        exchange.read_registration(HttpAnswer(403, body))
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) == 200


def test_seconds_of_retry_after() -> None:
    """Numbers only; dates and nonsense say nothing."""
    assert exchange.seconds_of("30") == 30.0
    for text in (None, "", "-1", "1.5", "\u0663", "9" * 7, "Fri, 31 Dec 1999 23:59:59 GMT"):
        assert exchange.seconds_of(text) is None


@given(st.integers(100, 599), st.binary(max_size=100))
def test_any_answer_is_understood_or_refused(status: int, body: bytes) -> None:
    """Only our errors."""
    answer = HttpAnswer(status, body)
    for read in (exchange.read_registration, exchange.read_account):
        with contextlib.suppress(NamesError):
            read(answer)
    with contextlib.suppress(NamesError):
        exchange.read_name(answer, "alice")
