"""Names that peers choose, and names on our disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.transfer.naming import NAME_SIZE_MAX, numbered, safe_name

FOLDER = Path("/somewhere/files")
HOSTILE = st.sampled_from(
    ["..", "/", "\\", "\0", ".", " ", "CON", "\u202e", "\ud800", "~", "C:", "a"]
)


@given(st.text() | st.lists(HOSTILE).map("".join) | st.text(min_size=300))
def test_no_name_leads_out_of_its_folder(display_name: str) -> None:
    """One component, visible, of a size that fits everywhere, and stable."""
    name = safe_name(display_name)

    assert (FOLDER / name).parent == FOLDER
    assert Path(name).name == name
    assert not {"/", "\\", "\0", "\n"} & set(name)
    assert not name.startswith((".", " "))
    assert 0 < len(name.encode()) <= NAME_SIZE_MAX
    assert safe_name(name) == name
    assert Path(numbered(name, 2)).name == numbered(name, 2) != name


@pytest.mark.parametrize(
    ("display_name", "name"),
    [
        ("nice name.bin", "nice name.bin"),
        ("Übung №1.pdf", "Übung №1.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\win.ini", "win.ini"),
        ("/etc/passwd", "passwd"),
        ("..", "file"),
        ("", "file"),
        (".bashrc", "bashrc"),
        ("evil\u202efdp.exe", "evilfdp.exe"),  # would be shown as evilexe.pdf
        ("two\nlines", "twolines"),
        ("con", "_con"),
        ("LPT1.txt", "_LPT1.txt"),
        ("a:b|c?.txt", "a_b_c_.txt"),
    ],
)
def test_names(display_name: str, name: str) -> None:
    """What is harmless stays."""
    assert safe_name(display_name) == name


def test_long_names_keep_their_extension() -> None:
    """The name is cut at a whole character."""
    name = safe_name("é" * 500 + ".pdf")
    assert name.endswith("é.pdf")
    assert len(name.encode()) <= NAME_SIZE_MAX


def test_numbers() -> None:
    """The number stands before the extension."""
    assert numbered("a.txt", 2) == "a (2).txt"
    assert numbered("a", 3) == "a (3)"
