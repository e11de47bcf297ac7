"""Who may ask at all: the right host, no other site's page."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from shoal.web.errors import ForeignHostError, ForeignOriginError
from shoal.web.guard import POLICY, check_source

PORT = 7420
HERE = "127.0.0.1:7420"


def headers(host: str = HERE, **more: str) -> Headers:
    """Return headers of a request."""
    return Headers({"host": host, **{name.replace("_", "-"): text for name, text in more.items()}})


@pytest.mark.parametrize("host", [HERE, "localhost:7420", "[::1]:7420", "LOCALHOST:7420"])
def test_our_names(host: str) -> None:
    """Addresses of this machine, at our port; our own page may ask."""
    check_source(headers(host), PORT, is_page=False)
    check_source(headers(host, origin=f"http://{host}"), PORT, is_page=False)


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "evil.example:7420", "127.0.0.1", "127.0.0.1:7421", "127.0.0.1:x"),
        *("127.0.0.1:7420.evil.example", "evil@127.0.0.1:7420", "127.0.0.1:7420/x", "0.0.0.0:7420"),
        *("[::1", "localhost.evil.example:7420"),
    ],
)
def test_other_names_are_refused(host: str) -> None:
    """So no site can lead its own name to this machine (DNS rebinding)."""
    with pytest.raises(ForeignHostError):
        check_source(headers(host), PORT, is_page=True)


def test_two_hosts_are_none() -> None:
    """Who reads the first and who reads the last must not differ."""
    twice = Headers(raw=[(b"host", HERE.encode()), (b"host", b"evil.example")])
    for given in (twice, Headers({})):
        with pytest.raises(ForeignHostError):
            check_source(given, PORT, is_page=True)


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", "null", "https://127.0.0.1:7420", "http://127.0.0.1:8080"),
        *("http://localhost:7420", "http://127.0.0.1:7420.evil.example", "", "file://"),
    ],
)
def test_pages_of_others_are_refused(origin: str) -> None:
    """Of other sites, and of other ports and names of this machine."""
    with pytest.raises(ForeignOriginError):
        check_source(headers(origin=origin), PORT, is_page=False)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_what_the_browser_says_about_the_asker_counts(site: str) -> None:
    """A link elsewhere may lead to our page, and to nothing else."""
    check_source(headers(sec_fetch_site=site), PORT, is_page=True)
    with pytest.raises(ForeignOriginError):
        check_source(headers(sec_fetch_site=site), PORT, is_page=False)
    check_source(headers(sec_fetch_site="same-origin"), PORT, is_page=False)


def test_nothing_from_elsewhere_runs_in_our_page() -> None:
    """No inline script, no other site, no frame around it."""
    assert "unsafe" not in POLICY
    assert "*" not in POLICY
    for rule in ("default-src 'none'", "script-src 'self' 'sha256-", "frame-ancestors 'none'"):
        assert rule in POLICY
