"""The page and its files."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from shoal.web.config import WebLimits
from shoal.web.guard import POLICY
from shoal.web.pages import pages

if TYPE_CHECKING:
    from tests.unit.web.conftest import Site

VENDOR = resources.files("shoal.web") / "static" / "vendor"


async def test_the_page_is_served_without_a_token(site: Site) -> None:
    """It says nothing about anybody; unchanged, it is not sent again."""
    first = await site.ask("GET", "/", token="")
    assert first.status_code == 200
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    again = await site.ask("GET", "/", token="", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name, page in pages().items():
        response = await site.ask("GET", f"/static/{name}", token="")
        assert (response.status_code, response.content) == (200, page.data)
        assert response.headers["content-type"] == page.kind


async def test_links_elsewhere_may_lead_here(site: Site) -> None:
    """As browsers say when one is followed."""
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await site.ask("GET", "/", token="", headers=followed)).status_code == 200


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline() -> None:
    """The policy would refuse it; so nobody writes it in the first place."""
    for name, page in pages().items():
        if name.startswith("vendor/"):
            continue
        text = page.data.decode()
        addresses = re.findall(r"https?://[^\s\"'`)]+", text)
        assert [each for each in addresses if "w3.org" not in each] == [], name
        assert not re.search(r"\son\w+=\"", text), name
        assert 'style="' not in text, name
    index = pages()["index.html"].data.decode()
    scripts = re.findall(r"<script([^>]*)>([^<]*)</script>", index)
    inline = [inside for attributes, inside in scripts if "src=" not in attributes]
    assert len(inline) == 1
    targets = json.loads(inline[0])["imports"].values()
    assert all(each.removeprefix("/static/") in pages() for each in targets)
    digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in POLICY


def test_the_page_asks_for_no_more_at_once_than_it_may() -> None:
    """Who has many conversations sees the latest of each, and no error."""
    state = pages()["js/state.js"].data.decode()
    (at_once,) = re.findall(r"^const AT_ONCE = (\d+);", state, re.MULTILINE)
    assert state.count("fresh.slice(first, first + AT_ONCE)") == state.count("fresh.slice(") == 1
    assert 4 * int(at_once) < WebLimits().calls_per_socket  # several things happen meanwhile


LANGUAGES = sorted(each for each in pages() if each.startswith("lang/"))


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_language_has_every_text(name: str) -> None:
    """With the same names in braces; and the page uses no text that there is not."""
    english = json.loads(pages()["lang/en.json"].data)
    texts = json.loads(pages()[name].data)
    assert set(texts) == set(english)
    for key, text in texts.items():
        assert text.strip()
        assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", english[key])), key
    scripts = [page.data.decode() for path, page in pages().items() if path.startswith("js/")]
    used = {key for script in scripts for key in re.findall(r"\bt\(\"([\w.]+)\"", script)}
    assert used <= set(english)


def vendored() -> dict[str, dict[str, str]]:
    """Return what is said about the libraries that are vendored."""
    found: dict[str, dict[str, str]] = json.loads((VENDOR / "vendor.json").read_text())
    return found


@pytest.mark.parametrize("name", sorted(vendored()))
def test_libraries_are_as_their_authors_published_them(name: str) -> None:
    """By the hash of the file in the package that is named."""
    said = vendored()[name]
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == said["sha256"]
    assert re.fullmatch(r"[\d.]+", said["version"])
    assert (VENDOR / said["license_file"]).read_text().strip()


def test_every_file_of_a_library_is_accounted_for() -> None:
    """None came without saying where from."""
    files = {each.name for each in VENDOR.iterdir() if each.name.endswith((".js", ".mjs"))}
    assert files == set(vendored())
