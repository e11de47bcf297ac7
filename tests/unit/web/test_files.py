"""Files by HTTP."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from shoal.web import WebConfig, WebLimits
from shoal.web.files import FOLDER
from tests.unit.web.conftest import make_site
from tests.unit.web.test_methods import kind_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.web.conftest import Site

pytestmark = pytest.mark.timeout(120)


async def begin(site: Site) -> dict[str, str]:
    """Begin a group; return what names it in a query."""
    group = await site.node.accounts[site.account].conversations.create()
    return {"account": site.account, "conversation": str(group.id)}


async def test_a_body_becomes_a_file_of_a_conversation(site: Site) -> None:
    """Larger than other bodies may be; what comes back is a download, whatever it is."""
    where = await begin(site)
    data = b"<script>alert(1)</script>" * 100_000
    sent = await site.ask("POST", "/v1/files", params={**where, "name": "pagé.html"}, content=data)
    assert sent.status_code == 200
    message = sent.json()
    assert (message["kind"], message["display_name"]) == ("file_offer", "pagé.html")
    got = await site.ask(
        "GET",
        f"/v1/files/{where['conversation']}/{message['id']}",
        params={"account": site.account},
    )
    assert got.content == data
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"].startswith("attachment;")
    assert "pag%C3%A9.html" in got.headers["content-disposition"]
    assert got.headers["x-content-type-options"] == "nosniff"
    (kept,) = (site.node.home / FOLDER).rglob("*.html")
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "x\0y", "é" * 150]
)
async def test_names_lead_nowhere(site: Site, name: str) -> None:
    """Only into their own folder; nothing is left behind."""
    where = await begin(site)
    refused = await site.ask("POST", "/v1/files", params={**where, "name": name}, content=b"x")
    assert (refused.status_code, kind_of(refused)) == (400, "ParametersError")
    assert not (site.node.home / FOLDER).exists()


async def test_what_cannot_be_sent_is_not_kept(tmp_path: Path) -> None:
    """Too large, or for a conversation that there is not."""
    few = WebLimits(file_size=1000)
    async with AsyncExitStack() as stack:
        site = await make_site(stack, tmp_path / "home", WebConfig(port=0, limits=few))
        where = {**await begin(site), "name": "x"}
        large = await site.ask("POST", "/v1/files", params=where, content=b"x" * 1001)
        assert (large.status_code, kind_of(large)) == (413, "BodyTooLargeError")
        nowhere = {**where, "conversation": "ab" * 20}
        lost = await site.ask("POST", "/v1/files", params=nowhere, content=b"x")
        assert (lost.status_code, kind_of(lost)) == (404, "NoSuchConversationError")
        assert list((site.node.home / FOLDER).iterdir()) == []


async def test_who_may_not_sends_and_gets_nothing(site: Site) -> None:
    """Each takes its scope."""
    where = {**await begin(site), "name": "x"}
    for token, status in (("", 401), (site.token_for("files:read"), 403)):
        refused = await site.ask("POST", "/v1/files", params=where, content=b"x", token=token)
        assert refused.status_code == status
    sent = await site.ask("POST", "/v1/files", params=where, content=b"x")
    path = f"/v1/files/{where['conversation']}/{sent.json()['id']}"
    for token, status in (
        ("", 401),
        (site.token_for("files:write"), 403),
        (site.token_for("files:read"), 200),
    ):
        got = await site.ask("GET", path, params={"account": site.account}, token=token)
        assert got.status_code == status
    for scopes, status in (
        (("files:read",), 403),
        (("files:write",), 403),
        (("files:read", "files:write"), 200),
    ):
        token = site.token_for(*scopes)
        got = await site.ask("POST", path, params={"account": site.account}, token=token)
        assert got.status_code == status
    for wrong in (f"/v1/files/{where['conversation']}/{'ab' * 20}", f"/v1/files/{'x' * 40}/y"):
        got = await site.ask("GET", wrong, params={"account": site.account})
        assert 400 <= got.status_code < 500


async def test_who_may_only_read_starts_no_transfer(site: Site) -> None:
    """A file that is not here is fetched by POST; to ask for it by GET changes nothing."""
    where = {**await begin(site), "name": "x"}
    sent = await site.ask("POST", "/v1/files", params=where, content=b"x")
    (kept,) = (each for each in (site.node.home / FOLDER).rglob("x") if each.is_file())
    kept.unlink()
    path = f"/v1/files/{where['conversation']}/{sent.json()['id']}"
    account = site.node.accounts[site.account]
    got = await site.ask("GET", path, params={"account": site.account})
    assert (got.status_code, kind_of(got)) == (404, "NoSuchPageError")
    assert account.transfers.list() == ()
