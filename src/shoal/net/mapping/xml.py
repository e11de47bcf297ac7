"""XML of routers: anybody on the network can send it, so only what is harmless is read.

No document types and with them no entities but the five of XML itself, no deep nesting, no more
than a description of a router takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from shoal.core import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Ours: descriptions of real routers have 2 to 10 kB, 100 to 300 elements and 9 levels.
LENGTH_MAX: Final = 65_536
DEPTH_MAX: Final = 32
ELEMENTS_MAX: Final = 2000
TEXT_LENGTH_MAX: Final = 1024  # of one element; the rest is cut off


def elements(document: bytes) -> list[tuple[tuple[str, ...], str]]:
    """Return each element's path of local names and its own text, in the order of their ends.

    Raises:
        DecodeError: *document* is not well-formed, or more than a router has to say.
    """
    if len(document) > LENGTH_MAX:
        raise DecodeError(f"XML longer than {LENGTH_MAX}")
    reader = _Reader()
    parser = expat.ParserCreate("utf-8")  # whatever it says: no codec of its choice is run
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, ValueError) as error:
        raise DecodeError(f"malformed XML: {error}") from error
    return reader.found


def texts(document: bytes) -> dict[str, str]:
    """Return the text of each local name, of repeated ones the first.

    Raises:
        DecodeError: as `elements`.
    """
    found: dict[str, str] = {}
    for path, text in elements(document):
        found.setdefault(path[-1], text)
    return found


def blocks(document: bytes, name: str) -> Iterator[dict[str, str]]:
    """Yield, for each element called *name*, the texts of its children.

    Raises:
        DecodeError: as `elements`.
    """
    children: dict[str, str] = {}
    for path, text in elements(document):
        if path[-1] == name:
            yield children
            children = {}
        elif len(path) > 1 and path[-2] == name:
            children.setdefault(path[-1], text)


class _Reader:
    def __init__(self) -> None:
        self.found: list[tuple[tuple[str, ...], str]] = []
        self._path: list[str] = []
        self._texts: list[str] = []

    def start(self, name: str, attributes: object) -> None:
        if len(self._path) >= DEPTH_MAX or len(self.found) >= ELEMENTS_MAX:
            raise DecodeError("XML with too many elements")
        self._path.append(name.rpartition(":")[2])
        self._texts.append("")

    def end(self, name: str) -> None:
        self.found.append((tuple(self._path), self._texts.pop().strip()))
        self._path.pop()

    def text(self, text: str) -> None:
        self._texts[-1] = (self._texts[-1] + text)[:TEXT_LENGTH_MAX]

    def refuse(self, *unused: object) -> None:
        raise DecodeError("XML with a document type")
