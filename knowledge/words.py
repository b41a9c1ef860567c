"""The words of a text in any language, in the form in which they are compared.

A word is a run of letters, digits and the marks on them; everything else divides words. It is folded by Unicode's compatibility
decomposition and full case folding, and loses accents and vowel points, so that "Größe" and "GROSSE" are one word. Scripts that
put no spaces between words have no such runs: of them every two neighbouring characters are a word, and one character only where
it stands alone (as Lucene's CJKBigramFilter does, here for Thai, Lao, Khmer and Burmese too).
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

# Longer runs are no words but keys, hashes and encodings; their beginning finds them.
LONGEST_WORD: Final = 64
_LAST_MARK: Final = 0x1FFFF  # behind it there are variation selectors only, which fold to nothing
_MARKS: Final = "".join(letter for letter in map(chr, range(0x300, _LAST_MARK)) if unicodedata.category(letter)[0] == "M")
# What stands in words and says nothing: soft hyphen, joiners, variation selectors.
_SILENT: Final = "\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef"
# Accents; Hebrew and Arabic points. The marks of other scripts are vowels, which nobody leaves out.
_ACCENTS: Final = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u0610-\u061a\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
    "\ufe20-\ufe2f"
)
# Thai, Lao, Burmese, Hangul, Khmer, Japanese and Han. Korean has spaces, but its words carry endings that nobody searches for.
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u19e0-\u19ff\u1a20-\u1aaf\u3005-\u3007\u3031-\u318f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\ua9e0-\ua9ff\uaa60-\uaa7f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U0001b000-\U0001b16f"
    "\U00020000-\U0003ffff"
)
# Half-width voice marks are letters to Unicode, but belong to the letter before them.
_AROUND: Final = f"[{re.escape(_MARKS)}{_SILENT}\uff9e\uff9f]"
_RUN: Final = re.compile(f"[^\\W_](?:[^\\W_]|{_AROUND})*")
_UNSPACED_LETTER: Final = re.compile(f"[{_UNSPACED}]")
_PIECE: Final = re.compile(f"(?P<unspaced>(?:(?=[{_UNSPACED}])[^\\W_]{_AROUND}*)+)|(?:(?![{_UNSPACED}])[^\\W_]{_AROUND}*)+")
_SPACED: Final = f"(?:(?![{_UNSPACED}])[^\\W_])"
_CLUSTER: Final = re.compile(f"[^\\W_]{_AROUND}*")
_ASCII_RUN: Final = re.compile("[a-z0-9]+")
_NOTHING: Final = re.compile(f"[{_ACCENTS}{_SILENT}]")
# Letters that decomposition leaves whole, as people write them who do not have them.
_PLAIN: Final = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})


class Word(NamedTuple):
    """A word in its folded form, and where it stands: code points of the text's canonical composition (NFC)."""

    text: str
    start: int
    end: int


def composed(text: str) -> str:
    """Return the text in canonical composition, in which the places of words are counted."""
    return unicodedata.normalize("NFC", text)


def words(text: str) -> Iterator[Word]:
    """Find the words of a composed text, in their order; a word that stands there twice comes twice."""
    if text.isascii():
        for run in _ASCII_RUN.finditer(text.lower()):
            yield Word(run[0][:LONGEST_WORD], run.start(), run.end())
        return
    for run in _RUN.finditer(text):
        if run[0].isascii():
            yield Word(run[0][:LONGEST_WORD].lower(), run.start(), run.end())
        elif _UNSPACED_LETTER.search(run[0]) is None:
            yield from _spaced(run[0], run.start())
        else:
            for piece in _PIECE.finditer(run[0]):
                yield from (_spaced if piece["unspaced"] is None else _pairs)(piece[0], run.start() + piece.start())


def is_lone(word: str) -> bool:
    """Whether a word is one letter of a script without spaces: where it stands beside others, only pairs with them are words."""
    return _UNSPACED_LETTER.match(word) is not None and _CLUSTER.fullmatch(word) is not None


def letters_in(text: str, letters: Iterable[str]) -> set[str]:
    """Return which of these lone letters a text has, wherever they stand."""
    if text.isascii():
        return set()
    text = unicodedata.normalize("NFKC", text)
    return {letter for letter in letters if letter in text}


def words_in(text: str, wanted: Iterable[str]) -> set[str]:
    """Return which of these words a text has: what `words` would find, but without making all of them."""
    folded = _folded(text)
    return {word for word in wanted if word in folded and (_UNSPACED_LETTER.match(word) or _stands_in(word, folded))}


def _stands_in(word: str, folded: str) -> bool:
    """Whether a word stands between others, where something that may be longer begins with it or ends with it."""
    return re.search(f"(?<!{_SPACED}){re.escape(word)}(?!{_SPACED})", folded) is not None


def _spaced(run: str, at: int) -> Iterator[Word]:
    """Fold a run; the decomposition of a fraction, say, holds what divides words."""
    for folded in _RUN.finditer(_folded(run)):
        yield Word(folded[0][:LONGEST_WORD], at, at + len(run))


def _pairs(run: str, at: int) -> Iterator[Word]:
    """Pair the letters of a run, each with its marks."""
    letters = [
        Word(folded[0], at + one.start(), at + one.end())
        for one in _CLUSTER.finditer(run)
        if (folded := _RUN.search(_folded(one[0]))) is not None
    ]
    if len(letters) == 1:
        yield letters[0]
    for left, right in itertools.pairwise(letters):
        yield Word((left.text + right.text)[:LONGEST_WORD], left.start, right.end)


def _folded(run: str) -> str:
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", run).casefold())
    return unicodedata.normalize("NFC", _NOTHING.sub("", decomposed).translate(_PLAIN))
