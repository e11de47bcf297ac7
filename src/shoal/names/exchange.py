"""A client's half of the protocol: which request to make, and what an answer means.

Nothing here trusts the server: a record must be about the name that was asked for, its key must be
the account's, and the account must have signed the name. A name that a server gives for an account
is only believed once it leads back to that account.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.names import answers
from shoal.names.errors import (
    AccountNamedError,
    BadNameAnswerError,
    ContradictoryAnswerError,
    IncompleteRegistrationError,
    NamesError,
    NameServerUnavailableError,
    NameTakenError,
    OtherNameAnsweredError,
    ReadOnlyMirrorError,
    RegistrationPendingError,
    RegistrationRefusedError,
    SignatureRefusedError,
    TooManyNameRequestsError,
    UnsignedRecordError,
)
from shoal.names.rules import canonical_name, is_canonical_name
from shoal.names.wire import (
    ANSWER_SIZE_MAX,
    decode_object,
    decode_record,
    decode_reverse,
    encode_registration,
)

if TYPE_CHECKING:
    from shoal.core import AccountId
    from shoal.names.record import NameRecord

_PROBLEM_LENGTH_MAX: Final = 200  # characters of a server's own words; ours
_TEMPORARY: Final[dict[str, type[NameServerUnavailableError]]] = {
    answers.PENDING: RegistrationPendingError,
    answers.BUSY: TooManyNameRequestsError,
    answers.READ_ONLY: ReadOnlyMirrorError,
}
_REFUSALS: Final[dict[int, type[RegistrationRefusedError]]] = {
    HTTPStatus.BAD_REQUEST: IncompleteRegistrationError,
    HTTPStatus.UNAUTHORIZED: SignatureRefusedError,
}
_SECONDS_DIGITS_MAX: Final = 6  # of Retry-After; ours: eleven days


@dataclass(frozen=True, slots=True)
class HttpQuestion:
    """A request to a name server.

    Attributes:
        path: to be put behind the server's URL.
        body: JSON, of a POST.
    """

    method: str
    path: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back.

    Attributes:
        body: the first MiB of it.
        retry_after: seconds, from the header of that name.
    """

    status: int
    body: bytes
    retry_after: float | None = None


# Names


def ask_name(name: str) -> HttpQuestion:
    """Return the request that looks a canonical *name* up."""
    return HttpQuestion("GET", f"/name/{quote(name, safe='')}")


def read_name(answer: HttpAnswer, name: str, *, allow_unsigned: bool = False) -> NameRecord | None:
    """Return the record of *name* that a server answered with, checked; None if it has none.

    Raises:
        LyingNameServerError: the record is proven false, or its key is none.
        UnsignedRecordError: it cannot be checked, and *allow_unsigned* is off.
        NamesError: the server did not answer the question.
    """
    if not _is_found(answer):
        return None
    try:
        record = decode_record(answer.body)
    except DecodeError as error:
        raise BadNameAnswerError(f"not a record of a name: {error}") from error
    if record is None:
        return None
    if not is_canonical_name(record.name) or record.name != name:
        raise OtherNameAnsweredError(f"asked for {name}, answered about {record.name[:64]!r}")
    if record.is_signed:
        record.check()
    elif not allow_unsigned:
        raise UnsignedRecordError(f"the record of {name} carries no key and signature")
    return record


# Accounts


def ask_account(account: AccountId) -> HttpQuestion:
    """Return the request for the name of an account."""
    return HttpQuestion("GET", f"/addr/{account}")


def read_account(answer: HttpAnswer) -> str | None:
    """Return the name that a server answered with; None if it has none. It proves nothing yet.

    Raises:
        NamesError: the server did not answer the question.
    """
    if not _is_found(answer):
        return None
    try:
        name = decode_reverse(answer.body)
    except DecodeError as error:
        raise BadNameAnswerError(f"not the name of an account: {error}") from error
    if name is not None and not is_canonical_name(name):
        raise BadNameAnswerError(f"{name[:64]!r} cannot be a name")
    return name


def check_reverse(record: NameRecord | None, name: str, account: AccountId) -> NameRecord:
    """Return the record that a name given for *account* led to, if it leads back to it.

    Raises:
        ContradictoryAnswerError: it leads elsewhere, or nowhere.
    """
    if record is None:
        raise ContradictoryAnswerError(f"{account} is said to be {name}, which nobody has")
    if record.account != account:
        raise ContradictoryAnswerError(f"{account} is said to be {name}, who is {record.account}")
    return record


# Registrations


def ask_registration(record: NameRecord) -> HttpQuestion:
    """Return the request that registers *record*, which is signed and has an owner."""
    name = canonical_name(record.name)
    return HttpQuestion("POST", f"/name/{quote(name, safe='')}", encode_registration(record))


def read_registration(answer: HttpAnswer) -> None:
    """Return if the server says that the name is registered.

    Raises:
        RegistrationRefusedError: it never will be.
        NameServerUnavailableError: it is not now; the kind says whether the request is kept.
        BadNameAnswerError: the server says something else.
    """
    fields = _fields(answer.body)
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        if fields.get("success") is True:
            return
        raise BadNameAnswerError(f"status {answer.status} without success")
    raise _failure(answer, fields)


def _failure(answer: HttpAnswer, fields: dict[str, object]) -> NamesError:
    """Return the error that a registration failed with: by our codes, else by Jami's statuses."""
    problem, status = _problem(fields, answer.status), answer.status
    code = str(fields.get("code"))
    if code == answers.NAMED:
        return AccountNamedError(problem, str(fields.get("name", ""))[:_PROBLEM_LENGTH_MAX])
    if code in _TEMPORARY:
        return _TEMPORARY[code](problem, answer.retry_after)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return TooManyNameRequestsError(problem, answer.retry_after)
    if _is_client_error(status):
        return _REFUSALS.get(status, NameTakenError)(problem)
    return NameServerUnavailableError(problem, answer.retry_after)


def _is_found(answer: HttpAnswer) -> bool:
    """Tell whether a lookup was answered with something.

    Raises:
        NameServerUnavailableError: not now.
        BadNameAnswerError: the server does not understand what every server does.
    """
    if answer.status == HTTPStatus.OK:
        return True
    fields = _fields(answer.body)
    problem = _problem(fields, answer.status)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or fields.get("code") == answers.BUSY:
        raise TooManyNameRequestsError(problem, answer.retry_after)
    if answer.status == HTTPStatus.BAD_REQUEST:
        raise BadNameAnswerError(problem)
    if _is_client_error(answer.status):
        return False
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise NameServerUnavailableError(problem, answer.retry_after)
    raise BadNameAnswerError(problem)


def _is_client_error(status: int) -> bool:
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR


def _fields(body: bytes) -> dict[str, object]:
    """Return a JSON object, or nothing where *body* is none: statuses say enough."""
    try:
        return decode_object(body, ANSWER_SIZE_MAX)
    except DecodeError:
        return {}


def _problem(fields: dict[str, object], status: int) -> str:
    said = fields.get("error")
    if isinstance(said, str) and said:
        return "".join(c if c.isprintable() else "?" for c in said[:_PROBLEM_LENGTH_MAX])
    return f"the server answers with status {status}"


def seconds_of(text: str | None) -> float | None:
    """Read the header Retry-After, if it is a number of seconds."""
    if text is None or len(text) > _SECONDS_DIGITS_MAX or not re.fullmatch("[0-9]+", text):
        return None
    return float(text)
