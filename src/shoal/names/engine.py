"""The name server: requests in, answers and orders out.

Lookups are answered from the index, at once and whether or not the chain can be reached.
Registrations are verified here and carried out by the `RegistrationEngine`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, assert_never

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.names import answers
from shoal.names.effects import Reply, ReplyPage
from shoal.names.errors import InvalidNameError, WrongKeyError, WrongSignatureError
from shoal.names.openapi import description
from shoal.names.rates import RateLimiter
from shoal.names.record import NameRecord, read_key
from shoal.names.registrations import RegistrationEngine
from shoal.names.routes import (
    FindAccount,
    FindName,
    FindRegistration,
    GetPage,
    NoRoute,
    RegisterName,
    route,
)
from shoal.names.rules import canonical_name
from shoal.names.wire import (
    HEX_PREFIX,
    decode_id,
    decode_registration,
    to_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.names.config import NameServerConfig
    from shoal.names.effects import Effect, Intent, Request, Response
    from shoal.names.registrations import NameIndex

ALL: Final = "all"  # the one client of the limit on everybody
HOUR: Final = 3600.0  # seconds


@dataclass(slots=True)
class NameServerStats:
    """What clients asked.

    Attributes:
        lookups: of names, and fields of their records.
        reverse_lookups: of accounts.
        found: of both, those answered with a record.
        registrations: requests to register.
        malformed: requests with a bad name, id or body.
        unproven: registrations whose key or signature proved nothing.
        limited: requests beyond a rate.
        other: everything else.
    """

    lookups: int = 0
    reverse_lookups: int = 0
    found: int = 0
    registrations: int = 0
    malformed: int = 0
    unproven: int = 0
    limited: int = 0
    other: int = 0


class NameServerEngine:
    """Answers requests, in the order of their coming, each exactly once."""

    def __init__(
        self, config: NameServerConfig, index: NameIndex, intents: Iterable[Intent] = ()
    ) -> None:
        """Serve what *index* has, and take up the *intents* of the journal, oldest first."""
        limits = config.limits
        self.stats = NameServerStats()
        self.registrations = RegistrationEngine(config, index, intents)
        self._config = config
        self._index = index
        self._lookup_rate = RateLimiter(
            limits.lookups_per_second, limits.lookups_burst, limits.clients
        )
        self._registration_rate = RateLimiter(
            limits.registrations_per_hour / HOUR, limits.registrations_burst, limits.clients
        )
        total = limits.registrations_per_hour_total
        self._total_rate = RateLimiter(total / HOUR, max(int(total), 1), 1)

    def receive(self, number: int, request: Request, now: float, wall_now: float) -> list[Effect]:
        """Take one request; one Reply or ReplyPage with its *number* follows, now or later."""
        asked = route(request.method, request.target)
        if isinstance(asked, RegisterName):
            self.stats.registrations += 1
            return self._register(number, asked.name, request, now, wall_now)
        if isinstance(asked, GetPage) and asked.path != "/openapi.json":
            self.stats.other += 1
            return [ReplyPage(number, asked.path)]
        wait = self._lookup_rate.take(request.client, now)
        if wait:
            self.stats.limited += 1
            return [Reply(number, answers.busy("too many requests", wait))]
        match asked:
            case FindName():
                response = self._find(asked)
            case FindAccount():
                response = self._find_account(asked.account)
            case FindRegistration():
                response = self._find_registration(asked.name)
            case GetPage():
                self.stats.other += 1
                response = answers.found(description())
            case NoRoute():
                self.stats.other += 1
                response = (
                    answers.not_allowed(asked.allowed) if asked.allowed else answers.NO_SUCH_PAGE
                )
            case _:
                assert_never(asked)
        return [Reply(number, response)]

    def next_deadline(self) -> float | None:
        """When `advance` next has work; None while nothing waits."""
        return self.registrations.next_deadline()

    def advance(self, now: float) -> list[Effect]:
        """Do what is due at *now*."""
        return self.registrations.advance(now)

    def _find(self, asked: FindName) -> Response:
        self.stats.lookups += 1
        try:
            name = canonical_name(asked.name)
        except InvalidNameError as error:
            self.stats.malformed += 1
            return answers.bad_lookup(f"invalid name: {error}")
        found = self._index.find(name)
        if found is None or not found.is_valid:
            return self._missing(answers.NAME_NOT_FOUND)
        self.stats.found += 1
        if asked.field is None:
            return answers.found(found.answer)
        if asked.field == "owner":
            value: object = HEX_PREFIX + found.owner.hex()
        else:
            value = json.loads(found.answer)[asked.field]
        return answers.found(to_json({"name": name, asked.field: value}))

    def _find_account(self, text: str) -> Response:
        self.stats.reverse_lookups += 1
        try:
            account = decode_id(text)
        except DecodeError as error:
            self.stats.malformed += 1
            return answers.bad_lookup(str(error))
        name = self._index.name_of(account)
        found = None if name is None else self._index.find(name)
        if found is None or not found.is_valid:
            return self._missing(answers.ACCOUNT_NOT_FOUND)
        self.stats.found += 1
        return answers.found(to_json({"name": found.name}))

    def _missing(self, answer: Response) -> Response:
        """Return *answer*, a "not found", unless we cannot know yet."""
        return answer if self._index.status().is_complete else answers.NOT_READY

    def _find_registration(self, text: str) -> Response:
        self.stats.other += 1
        try:
            name = canonical_name(text)
        except InvalidNameError as error:
            self.stats.malformed += 1
            return answers.bad_lookup(f"invalid name: {error}")
        found = self._index.find(name)
        if found is not None:
            state, detail = ("registered" if found.is_valid else "unusable"), ""
        else:
            state, detail = self.registrations.progress(name)
        fields = {"name": name, "state": state or "free"}
        if detail:
            fields["detail"] = detail
        return answers.found(to_json(fields))

    def _register(
        self, number: int, text: str, request: Request, now: float, wall_now: float
    ) -> list[Effect]:
        if self._config.is_read_only:
            return [Reply(number, answers.read_only())]
        verified = self._verify(text, request)
        if not isinstance(verified, NameRecord):
            return [Reply(number, verified)]
        if self.registrations.judge(verified) is None and not self.registrations.is_known(verified):
            wait = self._registration_rate.take(request.client, now)
            if not wait and (wait := self._total_rate.take(ALL, now)):
                self._registration_rate.give_back(request.client, now)
            if wait:
                self.stats.limited += 1
                return [Reply(number, answers.busy("too many registrations", wait))]
        return self.registrations.register(number, verified, now, wall_now)

    def _verify(self, text: str, request: Request) -> NameRecord | Response:
        """Return the record that the request proves, or the answer to one that proves none."""
        try:
            name = canonical_name(text)
            asked = decode_registration(request.body)
        except InvalidNameError as error:
            self.stats.malformed += 1
            return answers.incomplete(f"invalid name: {error}")
        except DecodeError as error:
            self.stats.malformed += 1
            return answers.incomplete(str(error))
        try:
            key = read_key(asked.public_key)
            record = NameRecord(name, asked.account, key.spki, asked.signature, asked.owner)
            record.check()
        except (WrongKeyError, WrongSignatureError) as error:
            self.stats.unproven += 1
            return answers.unproven(str(error))
        return record
