"""XML from the network: read as far as it is harmless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.net.mapping import xml

DOCUMENT = b"""<?xml version="1.0"?>
<root xmlns="urn:a" xmlns:b="urn:b"><b:one>1 &amp; 2</b:one>
<list><item><name>x</name><deep><name>no</name></deep></item><item><name>y</name></item></list>
<one>second</one></root>"""

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]>
<root>&b;</root>"""
OUTSIDE = b"""<!DOCTYPE r SYSTEM "file:///etc/passwd"><root/>"""


def test_elements_texts_and_blocks() -> None:
    """Local names, own text, the first of repeated ones, children of a block only."""
    assert xml.elements(b"<a><b:c xmlns:b='u'> t </b:c></a>") == [(("a", "c"), "t"), (("a",), "")]
    assert xml.texts(DOCUMENT)["one"] == "1 & 2"
    assert list(xml.blocks(DOCUMENT, "item")) == [{"name": "x", "deep": ""}, {"name": "y"}]


@pytest.mark.parametrize(
    "document",
    [
        LAUGHS,
        OUTSIDE,
        b"",
        b"<a>",
        b"<a></b>",
        b"<a>&unknown;</a>",
        b"<a>" * 40 + b"</a>" * 40,
        b"<a>" + b"<b/>" * 3000 + b"</a>",
        b"<a>" + b"x" * 70_000 + b"</a>",
        b"<a>\xff</a>",
    ],
    ids=range(10),
)
def test_what_is_refused(document: bytes) -> None:
    """Entities, document types, depth, number, length, anything malformed."""
    with pytest.raises(DecodeError):
        xml.elements(document)


def test_the_encoding_is_ours() -> None:
    """A document cannot choose the codec that reads it."""
    assert xml.elements(b"<?xml version='1.0' encoding='no-such'?><a/>") == [(("a",), "")]


def test_long_texts_are_cut() -> None:
    """Nothing that a router says needs a kilobyte."""
    (found,) = xml.elements(b"<a>" + b"x" * 5000 + b"</a>")
    assert len(found[1]) == xml.TEXT_LENGTH_MAX


@given(st.binary(max_size=80) | st.lists(
    st.sampled_from([b"<a>", b"</a>", b"<b/>", b"&lt;", b"x", b"<!DOCTYPE a>", b"<!--", b"-->"])
).map(b"".join))  # fmt: skip
def test_any_bytes(document: bytes) -> None:
    """Elements or a DecodeError."""
    try:
        xml.elements(document)
    except DecodeError:
        return
