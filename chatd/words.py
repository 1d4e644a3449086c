"""Texts and queries as tokens, for a full-text index that does nothing more than cut at what is not a token. Pure.

The index is SQLite's FTS5 with `tokenize='ascii'`, which takes everything beyond ASCII for part of a token. So whatever
is normalised is normalised here, and the answers are the same on every database.

`held` is what the index holds of a text, `parse` what a query asks of it, `matches` whether a text really has that
(the index can promise too much: pairs without their order), and `snippet` shows where.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from chatd.record import record

LONGEST = 64
"""Words are cut to so many code points, and the runs of a query to so many units."""

MOST_TERMS = 16
"""A query has at most so many terms; what comes after them is not looked at."""

MOST_PAIRS = 8
"""At most so many pairs of a run are asked of the index; `matches` looks at the whole of it."""

BEGINNINGS = (1, 2, 3, 4, 5, 6, 8, 11, 16)
"""An index holds the beginnings of words that are so many code points long.

A query asks for the longest of these and leaves the rest to `matches`. So every token is looked up as it is: FTS5
would merge all that begins with a prefix before it gives the newest, 20 ms where a word is in every fifth of a
million messages.
"""

Kind = Literal["word", "run", "symbol"]
"""A word of a script that has spaces; a run of one that has none; one emoji or other symbol."""


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that a query asks for.

    A word is found where a word begins with it, a run wherever it stands, a symbol where it is.
    An index holds all `tokens` of a text that has it, and maybe of others too.
    """

    kind: Kind
    text: str
    tokens: tuple[str, ...]


@record
class Part:
    """A stretch of a snippet: what was asked for (`hit`), or what stands around it."""

    text: str
    hit: bool


def words(text: str) -> list[str]:
    """The tokens of a text, in order, repeated where they are.

    The text is normalised (NFKC of UAX #15) and casefolded; Latin, Greek and Cyrillic lose their diacritics, Arabic and
    Hebrew their points. Then

    - letters, digits and their marks make a word, as in UAX #29 without its exceptions for apostrophes, dots and
      underscores; it is cut to `LONGEST` code points;
    - scripts without spaces (Han, Kana, Hangul; Thai, Lao, Khmer, Burmese) give every unit, a letter with its marks,
      and then every pair of neighbours: 会议室 is 会, 议, 室, 会议, 议室;
    - a symbol (general categories So and, beyond ASCII, Sm and Sc) stands for itself, a flag for its two letters;
      joiners, variation selectors and skin tones are dropped.

    A token has only a-z, 0-9 and characters beyond ASCII.
    """
    return [token for token, _kind in _tokens(text)]


def held(text: str) -> list[str]:
    """What an index holds of a text: each of its tokens once, and of words only the `BEGINNINGS`."""
    tokens: list[str] = []
    for token, kind in _tokens(text):
        tokens += _beginnings(token) if kind == "word" else (token,)
    return list(dict.fromkeys(tokens))


def parse(q: str) -> tuple[Term, ...]:
    """The terms of a query, at most `MOST_TERMS`; nothing where no word is left of it.

    It has no syntax: quotes, stars and AND are what they are in a text. A word that another one begins with is left
    out, since whatever has the longer one has it too.
    """
    folded, shape = _fold(q)
    found: dict[Term, None] = {}
    for piece in _PIECE.finditer(shape):
        found[_term(folded, shape, piece)] = None
        if len(found) == MOST_TERMS:
            break
    return tuple(term for term in found if not any(_implies(other, term) for other in found))


def matches(terms: Sequence[Term], text: str) -> bool:
    """Whether a text has all of these terms."""
    missing = set(terms)
    folded, shape = _fold(text)
    if not all(term.text in folded for term in terms):
        return False
    for term, _start, _end in _hits(terms, folded, shape):
        missing.discard(term)
        if not missing:
            return True
    return not missing


def snippet(terms: Sequence[Term], text: str, *, length: int = 160) -> tuple[Part, ...]:
    """At most `length` (8 or more) code points of the text as it was written, around the first hits.

    Joined, the parts are a contiguous piece of it, with … where more comes; hits and other parts alternate. Without a
    hit it is how the text begins. Takes time linear in the text's length.
    """
    folded, shape, starts, ends = _located(text)
    hits = _merged(sorted((starts[start], ends[end - 1]) for _term, start, end in _hits(terms, folded, shape)))
    first, last = _window(text, hits, length)
    parts: list[Part] = []
    plain = "…" if first > 0 else ""
    at = first
    for start, end in hits:
        if start >= last:
            break
        plain += text[at:start]
        if plain:
            parts.append(Part(plain, hit=False))
        plain = ""
        at = min(end, last)
        parts.append(Part(text[start:at], hit=True))
    plain += text[at:last] + ("…" if last < len(text) else "")
    if plain:
        parts.append(Part(plain, hit=False))
    return tuple(parts)


# Characters

_ASCII_WORD = re.compile("[a-z0-9]+")

_IGNORED = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U0001f3fb-\U0001f3ff\U000e0000-\U000e0fff]+"
)
"""What shows nothing of its own (Unicode, Default_Ignorable_Code_Point), and skin tones.

UAX #29 looks through such characters as well (WB4), but not through the zero width space: Thai and Khmer separate
words with it.
"""

_CJK = re.compile(
    "[\u1100-\u11ff\u3005-\u3007\u3021-\u3029\u3031-\u3035\u303b\u303c\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U0001aff0-\U0001b16f\U00020000-\U0003ffff]"
)
"""The blocks of Hangul, Kana, Bopomofo and Han, with what they will still be given."""

_SPACELESS = re.compile("[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f]")
"""The blocks of Thai, Lao, Burmese and Khmer."""

_PICTOGRAPH = re.compile("[\u20e3\U0001f000-\U0001faff]")
"""The keycap, and the blocks of emoji with what they will still be given (UTS #51, Extended_Pictographic)."""

_STRIPPED = ("LATIN ", "GREEK ", "CYRILLIC ")
"""What the names of letters that are compared without their diacritics begin with."""

_PLAIN = (*_STRIPPED, "ARABIC ", "HEBREW ")
"""The same for marks that stand by themselves: with the points of Arabic and Hebrew, which one writes or not."""

_STROKES = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe"})
"""Latin letters that Unicode does not take apart, as those write them who cannot type them."""


def _folded(char: str) -> str:
    """What a character of a text in NFKC is compared as."""
    if unicodedata.category(char)[0] == "M":
        return char
    lower = char.casefold()
    if not unicodedata.name(char, "").startswith(_STRIPPED):
        return lower
    apart = unicodedata.normalize("NFKD", lower).translate(_STROKES)
    return "".join(part for part in apart if not unicodedata.combining(part))


def _shape(char: str) -> str:
    """What a folded character is to a word.

    l is a letter or digit that is compared without marks and w one with them; j and c are the same for scripts without
    spaces. m is a mark, s a symbol, r a regional indicator, a space anything else.
    """
    category = unicodedata.category(char)
    if "\U0001f1e6" <= char <= "\U0001f1ff":
        shape = "r"
    elif category == "So" or (category in ("Sm", "Sc") and not char.isascii()) or _PICTOGRAPH.match(char):
        shape = "s"
    elif category[0] == "M":
        shape = "m"
    elif _CJK.match(char) and (category[0] == "L" or category in ("Nl", "Cn")):
        shape = "j"
    elif _SPACELESS.match(char) and category[0] == "L":
        shape = "c"
    elif category[0] in "LN":
        shape = "l" if char.isascii() or unicodedata.name(char, "").startswith(_PLAIN) else "w"
    else:
        shape = " "
    return shape


def _continues(char: str) -> str:
    """+ for a character that is normalised together with the one before it, - for one that begins something new.

    The former are marks, what is ignored, and the vowels and final consonants of Hangul; before all others a text may
    be cut and the parts normalised by themselves (UAX #15, section 9). So a cluster is nearly one of UAX #29.
    """
    first = unicodedata.normalize("NFKC", char)[0]
    joins = unicodedata.category(first)[0] == "M" or "\u1160" <= first <= "\u11ff" or _IGNORED.match(char)
    return "+" if joins else "-"


class _Table(dict[int, str]):
    """What a function says of each character, for `str.translate`; what was said is kept while there is room."""

    def __init__(self, says: Callable[[str], str], *, most: int = 16384) -> None:
        super().__init__()
        self._says = says
        self._most = most

    def __missing__(self, code: int) -> str:
        if len(self) >= self._most:
            self.clear()
        said = self[code] = self._says(chr(code))
        return said


_FOLDED = _Table(_folded)
_SHAPE = _Table(_shape)
_CONTINUES = _Table(_continues)


# Texts

_EXCESS = re.compile("(?<=[lj])m+|(?<=mmmm)m+")
"""Marks on letters that are compared without, and more than four on one that is compared with them."""

_PIECE = re.compile("(?P<word>[lw][lwm]*)|(?P<run>[jc][jcm]*)|(?P<symbol>rr?|s)")

_UNIT = re.compile("[jc]m*")

_CLUSTER = re.compile(r".\+*")


def _fold(text: str) -> tuple[str, str]:
    """A text as it is compared, and the shape of each of its characters."""
    if text.isascii():
        folded = text.lower()
        return folded, folded.translate(_SHAPE)
    folded = unicodedata.normalize("NFKC", _IGNORED.sub("", text)).translate(_FOLDED)
    shape = folded.translate(_SHAPE)
    if not _EXCESS.search(shape):
        return folded, shape
    kept = [mark != "-" for mark in _EXCESS.sub(lambda excess: "-" * len(excess[0]), shape)]
    return "".join(itertools.compress(folded, kept)), "".join(itertools.compress(shape, kept))


_fold_one = lru_cache(maxsize=16384)(_fold)
"""The same, for single characters."""


def _located(text: str) -> tuple[str, str, Sequence[int], Sequence[int]]:
    """`_fold`, and for each folded character where what it comes from begins and ends in the text."""
    if text.isascii():
        return *_fold(text), range(len(text)), range(1, len(text) + 1)
    folded: list[str] = []
    shapes: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for cluster in _CLUSTER.finditer(text.translate(_CONTINUES)):
        start, end = cluster.span()
        more, shape = _fold(text[start:end]) if end - start > 1 else _fold_one(text[start])
        folded.append(more)
        shapes.append(shape)
        starts += [start] * len(more)
        ends += [end] * len(more)
    return "".join(folded), "".join(shapes), starts, ends


# Terms


def _tokens(text: str) -> Iterator[tuple[str, str | None]]:
    """The tokens of a text, in order, with their kinds."""
    if text.isascii():
        yield from ((word[:LONGEST], "word") for word in _ASCII_WORD.findall(text.lower()))
        return
    folded, shape = _fold(text)
    for piece in _PIECE.finditer(shape):
        start, end = piece.span()
        if piece.lastgroup == "run":
            units = _units(folded, shape, start, end)
            yield from ((unit, "run") for unit in units)
            yield from ((one + other, "run") for one, other in itertools.pairwise(units))
        else:
            yield folded[start : min(end, start + LONGEST)], piece.lastgroup


@lru_cache(maxsize=16384)
def _beginnings(word: str) -> tuple[str, ...]:
    """Those that an index holds of a word."""
    return tuple(word[:length] for length in BEGINNINGS if length <= len(word))


def _units(folded: str, shape: str, start: int, end: int) -> list[str]:
    """The letters of a run, each with its marks."""
    return [folded[unit.start() : unit.end()] for unit in _UNIT.finditer(shape, start, end)]


def _term(folded: str, shape: str, piece: re.Match[str]) -> Term:
    """What a piece of a query asks for."""
    start, end = piece.span()
    if piece.lastgroup == "run":
        units = _units(folded, shape, start, end)[:LONGEST]
        pairs = dict.fromkeys(map(str.__add__, units, units[1:]))
        return Term("run", "".join(units), tuple(pairs)[:MOST_PAIRS] or (units[0],))
    text = folded[start : min(end, start + LONGEST)]
    if piece.lastgroup == "word":
        return Term("word", text, (_beginnings(text)[-1],))
    return Term("symbol", text, (text,))


def _implies(other: Term, term: Term) -> bool:
    """Whether whatever has the other term has this one too, by being the beginning of it."""
    return other is not term and other.kind == term.kind == "word" and other.text.startswith(term.text)


def _hits(terms: Sequence[Term], folded: str, shape: str) -> Iterator[tuple[Term, int, int]]:
    """Where in a folded text the terms are, from and to, piece by piece."""
    for piece in _PIECE.finditer(shape):
        start, end = piece.span()
        for term in terms:
            if term.kind != piece.lastgroup:
                continue
            if term.kind == "run":
                for at in _places(term.text, folded, shape, start, end):
                    yield term, at, at + len(term.text)
            elif folded.startswith(term.text, start, end) and (term.kind == "word" or end - start == len(term.text)):
                yield term, start, start + len(term.text)


def _places(text: str, folded: str, shape: str, start: int, end: int) -> Iterator[int]:
    """Where in a run a text begins that ends with a letter and all its marks."""
    at = folded.find(text, start, end)
    while at >= 0:
        if shape[at + len(text) : at + len(text) + 1] != "m":
            yield at
        at = folded.find(text, at + 1, end)


# Snippets


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, without overlaps; those that touch are one."""
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _window(text: str, hits: list[tuple[int, int]], length: int) -> tuple[int, int]:
    """From where to where a snippet goes: a quarter of it stands before the first hit, unless the text ends there."""
    if len(text) <= length:
        return 0, len(text)
    hit = hits[0][0] if hits else 0
    first = max(0, min(hit - length // 4, len(text) - length))
    if first > 0:
        first = _cut(text, range(first, hit), hit)
    last = first + length
    if last >= len(text):
        return first, len(text)
    whole = max((end for _start, end in hits if end <= last), default=0)
    return first, _cut(text, range(last, max(whole, last - length // 4), -1), last)


def _cut(text: str, places: range, otherwise: int) -> int:
    """The first of these places that is at a space, or else the first that is between two clusters."""
    at_space = (at for at in places if text[at - 1 if places.step > 0 else at].isspace())
    between = (at for at in places if _CONTINUES[ord(text[at])] == "-")
    return next(at_space, next(between, otherwise))
