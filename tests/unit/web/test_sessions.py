"""What our page needs beside the methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shoal.identity.archive import unpack_archive
from tests.unit.web.test_methods import kind_of

if TYPE_CHECKING:
    from tests.unit.web.conftest import Site

pytestmark = pytest.mark.timeout(120)


async def test_a_link_opens_one_session(site: Site) -> None:
    """What stands behind the # becomes a token, once; the session ends when told to."""
    link = site.server.new_link()
    assert link.startswith(f"{site.server.url}/#link=")
    code = link.partition("#link=")[2]
    opened = await site.ask("POST", "/v1/session", json={"code": code}, token="")
    token = opened.json()["token"]
    assert "set-cookie" not in opened.headers
    assert (await site.ask("GET", "/v1/account.list", token=token)).status_code == 200
    again = await site.ask("POST", "/v1/session", json={"code": code}, token="")
    assert (again.status_code, kind_of(again)) == (403, "LinkUsedError")
    closed = await site.ask("DELETE", "/v1/session", token=token)
    assert (closed.status_code, closed.content) == (204, b"")
    assert (await site.ask("GET", "/v1/account.list", token=token)).status_code == 401
    lasting = await site.ask("DELETE", "/v1/session")
    assert lasting.status_code == 204
    assert (await site.ask("GET", "/v1/account.list")).status_code == 200, "it was no session"


async def test_codes_are_text(site: Site) -> None:
    """And nothing else."""
    for fields in ({}, {"code": 1}, {"code": None}):
        response = await site.ask("POST", "/v1/session", json=fields, token="")
        assert (response.status_code, kind_of(response)) == (400, "ParametersError")


async def test_a_qr_code_is_drawn(site: Site) -> None:
    """For those who have a token, of texts that fit."""
    drawn = await site.ask("GET", "/v1/qr", params={"text": f"jami:{site.account}"})
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert drawn.text.startswith("<svg")
    for params in ({}, {"text": ""}, {"text": "x" * 1025}, {"text": "🐟" * 1024}):
        response = await site.ask("GET", "/v1/qr", params=params)
        assert (response.status_code, kind_of(response)) == (400, "ParametersError")
    assert (await site.ask("GET", "/v1/qr", params={"text": "x"}, token="")).status_code == 401


async def test_a_backup_can_be_kept(site: Site) -> None:
    """The archive itself; nothing of it stays behind; the account knows that it has one."""
    before = set(site.node.home.iterdir())
    await site.node.accounts[site.account].rename("Ada Löve")
    response = await site.ask("POST", "/v1/backup", json={"account": site.account})
    assert response.status_code == 200
    assert "Ada%20L%C3%B6ve.jac" in response.headers["content-disposition"]
    archive = unpack_archive(response.content, "")
    assert archive.keys.id.hex() == site.account
    assert set(site.node.home.iterdir()) == before
    assert site.node.accounts[site.account].backup.value != "due"
    await site.node.accounts[site.account].change_password("", "right")
    for fields, kind in (
        ({}, "ParametersError"),
        ({"account": "nobody"}, "UnknownAccountError"),
        ({"account": site.account, "password": 7}, "ParametersError"),
        ({"account": site.account, "password": "wrong"}, "ArchivePasswordError"),
    ):
        refused = await site.ask("POST", "/v1/backup", json=fields)
        assert kind_of(refused) == kind
    narrow = site.token_for("accounts:read")
    refused = await site.ask("POST", "/v1/backup", json={"account": site.account}, token=narrow)
    assert (refused.status_code, kind_of(refused)) == (403, "ScopeMissingError")
