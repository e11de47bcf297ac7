"""The node's methods by HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from starlette.datastructures import QueryParams

from shoal.node.driver.api.registry import METHODS
from shoal.node.errors import ParametersError
from shoal.web import WebConfig, WebLimits
from shoal.web.errors import TooLongError
from shoal.web.methods import first_of, method_of, read_query
from tests.unit.node.driver.conftest import archive_of
from tests.unit.web.conftest import Site, make_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx2

GUESS = "shoal_guess"
pytestmark = pytest.mark.timeout(120)


def kind_of(response: httpx2.Response) -> str:
    """Return the kind of error that a response tells of; it is a whole problem."""
    fields: dict[str, Any] = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert set(fields) == {"type", "title", "status", "detail", "error", "advice", "data"}
    assert fields["status"] == response.status_code
    assert fields["detail"] == fields["error"]
    return str(fields["type"]).removeprefix("urn:shoal:error:")


async def test_reading_takes_a_query_and_changing_takes_an_object(site: Site) -> None:
    """As HTTP has it: GET changes nothing."""
    shown = await site.ask("GET", "/v1/account.show", params={"account": site.account})
    assert (shown.status_code, shown.json()["id"]) == (200, site.account)
    assert shown.headers["content-type"] == "application/json"
    renamed = await site.ask(
        "POST", "/v1/account.rename", json={"account": site.account, "name": "Ada"}
    )
    assert (renamed.status_code, renamed.json()) == (200, None)
    (only,) = (await site.ask("GET", "/v1/account.list")).json()
    assert only["name"] == "Ada"
    head = await site.ask("HEAD", "/v1/account.list")
    assert (head.status_code, head.content) == (200, b"")


async def test_verbs_are_not_mixed(site: Site) -> None:
    """A link that is followed changes nothing."""
    for verb, path in (
        ("GET", "/v1/account.rename"),
        ("POST", "/v1/account.list"),
        ("PUT", "/v1/account.list"),
        ("OPTIONS", "/v1/account.list"),
        ("DELETE", "/"),
    ):
        response = await site.ask(verb, path)
        assert (response.status_code, kind_of(response)) == (405, "NoSuchVerbError")
        assert "access-control-allow-origin" not in response.headers


async def test_what_fails_names_the_kind(site: Site) -> None:
    """Unknown methods and accounts, wrong parameters, files of this machine."""
    for verb, path, status, kind in (
        ("GET", "/v1/fly.away", 404, "UnknownMethodError"),
        ("GET", "/v1/account.export", 404, "UnknownMethodError"),
        ("GET", "/v1/account.show", 400, "ParametersError"),
        ("GET", "/v1/account.show?account=nobody", 404, "UnknownAccountError"),
        ("GET", "/v1/account.show?account=a&account=b", 400, "ParametersError"),
        ("GET", "/v1/account.show?x=1", 400, "ParametersError"),
        ("GET", "/nothing", 404, "NoSuchPageError"),
        ("GET", "/static/../methods.py", 404, "NoSuchPageError"),
        ("GET", "/static/%2e%2e/methods.py", 404, "NoSuchPageError"),
        ("GET", "/v1/account.list/", 404, "NoSuchPageError"),
    ):
        response = await site.ask(verb, path)
        assert (response.status_code, kind_of(response)) == (status, kind), path


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"name": NaN}', 400),
        (b'{"name": "\\ud800"}', 400),
        (b"[" * 100_000, 400),
        (b"\xff", 400),
        (b" " * (1024 * 1024 + 1), 413),
    ],
)
async def test_bodies_that_are_no_object(site: Site, body: bytes, status: int) -> None:
    """Too large, or not JSON, or not text."""
    response = await site.ask(
        "POST",
        "/v1/account.rename",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    assert response.status_code == status, kind_of(response)


async def test_a_form_is_not_taken(site: Site) -> None:
    """What a page elsewhere can send without being asked first is refused for its type, too."""
    response = await site.ask("POST", "/v1/account.rename", data={"name": "x"})
    assert (response.status_code, kind_of(response)) == (415, "BodyTypeError")


async def test_who_has_no_token_gets_nowhere(site: Site) -> None:
    """None, a wrong one, one of another kind, one that was revoked, one that is too narrow."""
    for header, kind in (
        ({}, "TokenMissingError"),
        ({"Authorization": "Basic eDp5"}, "TokenMissingError"),
        ({"Authorization": "Bearer"}, "TokenMissingError"),
        ({"Authorization": "Bearer shoal_wrong"}, "TokenRefusedError"),
        ({"Cookie": f"token={site.token}"}, "TokenMissingError"),
    ):
        response = await site.ask("GET", "/v1/account.list", token="", headers=header)
        assert (response.status_code, kind_of(response)) == (401, kind)
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert "set-cookie" not in response.headers
    text, token = site.server.tokens.file.new("x", ("contacts:read",))
    params = {"account": site.account}
    assert (await site.ask("GET", "/v1/contact.list", params=params, token=text)).json() == []
    narrow = await site.ask("GET", "/v1/account.list", token=text)
    assert (narrow.status_code, kind_of(narrow)) == (403, "ScopeMissingError")
    site.server.tokens.file.revoke(token.id)
    gone = await site.ask("GET", "/v1/contact.list", params=params, token=text)
    assert (gone.status_code, kind_of(gone)) == (401, "TokenRefusedError")


async def test_a_token_of_one_account_is_for_it_alone(site: Site) -> None:
    """Whatever else it permits."""
    token = site.token_for("*", account=site.account)
    mine = await site.ask("GET", "/v1/contact.list", params={"account": site.account}, token=token)
    assert mine.status_code == 200
    for path in ("/v1/account.list", "/v1/contact.list?account=x", "/v1/node.status"):
        other = await site.ask("GET", path, token=token)
        assert (other.status_code, kind_of(other)) == (403, "ScopeMissingError")


async def test_other_hosts_and_other_sites_are_refused(site: Site) -> None:
    """Even with a token that is valid; and nobody is told that another site may read."""
    for headers, status, kind in (
        ({"Host": "evil.example"}, 421, "ForeignHostError"),
        ({"Host": "evil.example:7420"}, 421, "ForeignHostError"),
        ({"Origin": "http://evil.example"}, 403, "ForeignOriginError"),
        ({"Origin": "null"}, 403, "ForeignOriginError"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "ForeignOriginError"),
    ):
        for path in ("/v1/account.list", "/v1/session", "/openapi.json", "/"):
            if "Sec-Fetch-Site" in headers and not path.startswith("/v1"):
                continue
            response = await site.ask("GET", path, headers=headers)
            assert (response.status_code, kind_of(response)) == (status, kind)
            assert "access-control-allow-origin" not in response.headers
    own = await site.ask("GET", "/v1/account.list", headers={"Origin": site.server.url})
    assert own.status_code == 200


async def test_every_answer_has_the_headers_that_protect_it(site: Site) -> None:
    """Pages, results, refusals."""
    for path in ("/", "/v1/account.list", "/nothing", "/openapi.json"):
        headers = (await site.ask("GET", path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] in {"no-store", "no-cache"}
        assert "server" not in headers


async def test_work_that_reports_comes_in_lines(site: Site) -> None:
    """Items, then the result; an error before the first has a status, one after it a line."""
    archive = base64.b64encode(archive_of("bob")).decode()
    response = await site.ask("POST", "/v1/account.import", json={"archive": archive})
    assert response.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(each) for each in response.text.splitlines()]
    assert set(lines[0]) == {"item"}
    assert lines[-1]["result"]["id"] in {each.id.hex() for each in site.node.accounts}
    early = await site.ask("POST", "/v1/account.import", json={"archive": "?"})
    assert (early.status_code, kind_of(early)) == (400, "ParametersError")
    again = await site.ask("POST", "/v1/account.import", json={"archive": archive})
    last = json.loads(again.text.splitlines()[-1])
    assert "AccountExistsError" in str(last)


async def test_too_many_requests_are_told_to_wait(tmp_path: Path) -> None:
    """Of one token, and of those who guess; a guesser does not keep others out."""
    few = WebLimits(
        requests_per_second=0.01, requests_burst=3, failures_per_second=0.01, failures_burst=2
    )
    async with AsyncExitStack() as stack:
        site = await make_site(stack, tmp_path / "home", WebConfig(port=0, limits=few))
        seen = [
            (await site.ask("GET", "/v1/account.list", token=GUESS)).status_code for _ in range(3)
        ]
        assert seen == [401, 401, 429]
        code = await site.ask("POST", "/v1/session", json={"code": "guess"}, token="")
        assert (code.status_code, kind_of(code)) == (429, "RateLimitError")
        answers = [await site.ask("GET", "/v1/account.list") for _ in range(4)]
        assert [each.status_code for each in answers] == [200, 200, 200, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 100
        other = await site.ask("GET", "/v1/account.list", token=site.token_for())
        assert other.status_code == 200


async def test_a_call_that_takes_too_long_is_ended() -> None:
    """Rather than held for ever; what the method itself calls too long stays what it is."""

    async def never() -> AsyncIterator[tuple[str, Any]]:
        await asyncio.Event().wait()
        yield "result", None

    with pytest.raises(TooLongError, match=r"0\.01 seconds"):
        await first_of(never(), 0.01)

    async def late() -> AsyncIterator[tuple[str, Any]]:
        raise TimeoutError
        yield "result", None

    with pytest.raises(TimeoutError):
        await first_of(late(), 60)


def test_queries_are_read_by_kind() -> None:
    """Numbers, yes and no, text; and nothing that only looks like it."""
    method = method_of("conversation.messages")
    given = QueryParams("account=a&conversation=1&count=20")
    assert read_query(method, given) == {"account": "a", "conversation": "1", "count": 20}
    for text in ("x", "1.5", "१", "9" * 40, "", "1e3"):
        with pytest.raises(ParametersError, match="count"):
            read_query(method, QueryParams({"count": text}))
    lookup = method_of("name.lookup")
    assert read_query(lookup, QueryParams("fresh=true")) == {"fresh": True}
    with pytest.raises(ParametersError, match="fresh"):
        read_query(lookup, QueryParams("fresh=1"))
    timed = METHODS["contact.add"]
    assert read_query(timed, QueryParams("wait=1.5")) == {"wait": 1.5}
    for text in ("nan", "inf", "-inf"):
        with pytest.raises(ParametersError, match="wait"):
            read_query(timed, QueryParams({"wait": text}))
