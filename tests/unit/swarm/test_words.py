"""What texts are found by, asked of the real full-text index."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.swarm.words import QUESTION_WORDS_MAX, TOKENIZER, question_of, words_of


def is_found(text: str, question: str) -> bool:
    """Whether the index finds *text* when it is asked for *question*."""
    asked = question_of(question)
    if not asked:
        return False
    database = sqlite3.connect(":memory:")
    try:
        database.execute(f'CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = "{TOKENIZER}")')
        database.execute("INSERT INTO words VALUES (?)", (words_of(text),))
        found = database.execute("SELECT count(*) FROM words WHERE words MATCH ?", (asked,))
        return bool(found.fetchone()[0])
    finally:
        database.close()


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Étude in C", "etude"),
        ("Étude in C", "ETU"),  # the last word may go on
        ("Étude in C", "c etude"),  # words in any order
        ("naïve", "naïve"),
        ("你好世界", "世界"),
        ("你好世界", "好"),
        ("今日は寒い。", "寒い"),
        ("สวัสดีครับ", "ครับ"),
        ("हिन्दी भाषा", "हिन्दी"),
        ("Привет, мир", "привет"),
        ("ﬁle ＡＢＣ", "file abc"),  # noqa: RUF001 - width does not matter
        ("see foo_bar.txt", "foo_b"),
        ("x = 'y' OR \"z\"", "\"z\" OR 'y'"),
    ],
)
def test_found(text: str, question: str) -> None:
    """In all scripts, without case, accents and width."""
    assert is_found(text, question)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("hello", "ell"),
        ("hello", "hello world"),
        ("hello world", "hel world"),  # only the last word may go on
        ("你好世界", "好你"),
        ("hello", ""),
        ("hello", ' "*^:() '),
    ],
)
def test_not_found(text: str, question: str) -> None:
    """All words have to be there; signs alone find nothing."""
    assert not is_found(text, question)


@given(st.text(max_size=60))
def test_any_text_finds_itself(text: str) -> None:
    """Any question is one that the index understands, and a text with words finds itself."""
    is_short = len(question_of(text).split('" "')) < QUESTION_WORDS_MAX
    assert is_found(text, text) is bool(question_of(text)) or not is_short
