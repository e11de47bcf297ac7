"""What texts are found by: words, in all languages.

SQLite's full-text index splits at blanks and signs. That is right for scripts that write words
apart, and useless for those that do not: a Chinese sentence would be one word. Its other splitter,
into pieces of three characters, cannot find words of two, which most Chinese ones are, and makes an
index several times larger. So the index splits words, and what it is given has each character of
a script without blanks as a word of its own. A question is the words that all have to be there, of
which the last may go on; characters of such scripts have to stand side by side.

Case, accents and width do not matter: `Étude` is found by `etude`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

QUESTION_WORDS_MAX: Final = 32  # ours: of one question
TEXT_LENGTH_MAX: Final = 100_000  # ours: characters of one message that are found

# Scripts that are written without blanks between words: Thai, Lao, Burmese, Khmer, Tai, Han,
# kana, bopomofo, Yi, and the rarer Han characters.
_WITHOUT_BLANKS: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf"
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua000-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff"
)
_CHARACTER: Final = re.compile(f"[{_WITHOUT_BLANKS}]")
_PIECES: Final = re.compile(f"[{_WITHOUT_BLANKS}]+|[^\\s{_WITHOUT_BLANKS}]+")
_NO_WORD: Final = re.compile(r"[^a-z0-9]+")
_OF_WORDS: Final = "LNM"  # letters, numbers, and the marks that stay: vowels of Indian scripts
TOKENIZER: Final = "unicode61 remove_diacritics 0 categories 'L* N* M* Co'"


def words_of(text: str) -> str:
    """Return what is put into the index for *text*."""
    spread = _CHARACTER.sub(r" \g<0> ", _plain(text[:TEXT_LENGTH_MAX]))
    return " ".join(spread.split())


def question_of(text: str) -> str:
    """Return the question to the index that finds *text*; empty if it has no word."""
    pieces: list[str] = _PIECES.findall(_plain(text[:TEXT_LENGTH_MAX]))[:QUESTION_WORDS_MAX]
    terms = [f'"{" ".join(each) if _CHARACTER.match(each) else each}"' for each in pieces]
    may_go_on = bool(pieces) and not _CHARACTER.match(pieces[-1])
    return " ".join(terms) + ("*" if may_go_on else "")


def _plain(text: str) -> str:
    """Return the words of *text*, without case, accents and width."""
    if text.isascii():
        return _NO_WORD.sub(" ", text.lower())
    folded = unicodedata.normalize("NFKD", text).casefold()
    return "".join(
        each if unicodedata.category(each)[0] in _OF_WORDS else " "
        for each in folded
        if not unicodedata.combining(each)
    )
