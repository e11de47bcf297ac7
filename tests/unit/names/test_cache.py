"""What a client remembers."""

from __future__ import annotations

from shoal.names import NameClientConfig
from shoal.names.cache import Freshness, NameCache
from tests.unit.names.people import record_of

SERVER = "https://ns.example.org"
CONFIG = NameClientConfig(found_life=10.0, missing_life=2.0, stale_life=100.0, cache_size=4)


def test_a_record_ages() -> None:
    """Fresh, then stale, then forgotten; under its name and under its account."""
    cache, record = NameCache(CONFIG), record_of("alice")
    cache.remember_record(SERVER, record, 0.0)

    for key in ((SERVER, "alice"), (SERVER, record.account)):
        assert cache.find(key, 10.0) == (Freshness.FRESH, record)
        assert cache.find(key, 11.0) == (Freshness.STALE, record)
        assert cache.find(key, 101.0) == (Freshness.UNKNOWN, None)
    assert len(cache) == 0
    assert cache.find(("https://elsewhere", "alice"), 0.0) == (Freshness.UNKNOWN, None)


def test_what_is_missing_may_come() -> None:
    """That there is none is believed for a moment only, and never stale."""
    cache = NameCache(CONFIG)
    cache.remember((SERVER, "bob"), None, 0.0)

    assert cache.find((SERVER, "bob"), 2.0) == (Freshness.FRESH, None)
    assert cache.find((SERVER, "bob"), 2.1) == (Freshness.UNKNOWN, None)
    cache.remember((SERVER, "bob"), None, 3.0)
    cache.forget((SERVER, "bob"))
    cache.forget((SERVER, "bob"))
    assert cache.find((SERVER, "bob"), 3.0) == (Freshness.UNKNOWN, None)


def test_the_longest_unused_is_forgotten() -> None:
    """Looking counts as use."""
    cache = NameCache(CONFIG)
    for name in ("aaa", "bbb", "ccc", "ddd"):
        cache.remember((SERVER, name), None, 0.0)
    cache.find((SERVER, "aaa"), 0.0)
    cache.remember((SERVER, "eee"), None, 0.0)

    assert len(cache) == 4
    assert cache.find((SERVER, "aaa"), 0.0)[0] is Freshness.FRESH
    assert cache.find((SERVER, "bbb"), 0.0)[0] is Freshness.UNKNOWN
