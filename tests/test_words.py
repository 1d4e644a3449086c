"""Tokens of texts, terms of queries, and what of a text is shown, over many scripts."""

from __future__ import annotations

import itertools
import re
import sqlite3
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd import words as module
from chatd.words import BEGINNINGS, Part, Term, held, matches, parse, snippet, words

letters = st.characters(exclude_categories=["Cs"])
odd = st.sampled_from(
    "aAéßﬁİıёй Σς\u0301\u0308\u0345\u3099\ufe0f\u200d\u200b\u20e3会议室ー가\u1100\u1161\u11a8ㄱㅏㄳｶﾞทีำน้हिं़مَ👍🏽👩🇩🇪1½"
    '\n"*(-:'
)
texts = st.text(letters | odd, max_size=40) | st.text(odd, max_size=60)


def shown(parts: tuple[Part, ...]) -> str:
    """A snippet with its hits in brackets."""
    return "".join(f"[{part.text}]" if part.hit else part.text for part in parts)


def plain(parts: tuple[Part, ...]) -> str:
    return "".join(part.text for part in parts)


# words


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", ""),
        ("Hello, WORLD!", "hello world"),
        ("snake_case, don't, 3.14", "snake case don t 3 14"),
        ("Café CAFE\u0301 cafe", "cafe cafe cafe"),
        ("Thầy ǿ Łódź œuvre", "thay o lodz oeuvre"),
        ("İstanbul ISPARTA ısı", "istanbul isparta isi"),
        ("Straße STRASSE", "strasse strasse"),
        ("ﬁne Ａｄａ m²", "fine ada m2"),
        ("Ёлка ещё й", "елка еще и"),
        ("ΟΔΟΣ οδός", "οδοσ οδοσ"),
        ("a\u0345b \u0301c", "ab c"),
        ("so\u00adft a\u2060b \ufeffx", "soft ab x"),
        ("a\0b\tc\u200bd\ud800e\ue000f", "a b c d e f"),
    ],
)
def test_words_are_compared_without_case_width_and_diacritics(text: str, tokens: str) -> None:
    assert words(text) == tokens.split()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("हिन्दी में लिखो", "हिन्दी में लिखो"),
        ("நன்றி", "நன்றி"),
        ("می\u200cخواهم", "میخواهم"),
        ("مُحَمَّد محمد", "محمد محمد"),
        ("שָׁלוֹם שלום", "שלום שלום"),
        ("አማርኛ ქართული", "አማርኛ ქართული"),
        ("٣٤٥ ๑๒", "٣٤٥ ๑๒"),
    ],
)
def test_marks_do_not_end_a_word(text: str, tokens: str) -> None:
    assert words(text) == tokens.split()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("会", "会"),
        ("会议室", "会 议 室 会议 议室"),
        ("会议，室", "会 议 会议 室"),
        ("v2会议AI", "v2 会 议 会议 ai"),
        ("葛\U000e0100城", "葛 城 葛城"),
        ("時々〇", "時 々 〇 時々 々〇"),
        ("𠮷野", "𠮷 野 𠮷野"),
        ("コーヒー", "コ ー ヒ ー コー ーヒ ヒー"),
        ("ｶﾞｽ か\u3099", "ガ ス ガス が"),
        ("あ\u3099い", "あ い あい"),
        ("한국어", "한 국 어 한국 국어"),
        (unicodedata.normalize("NFD", "한국"), "한 국 한국"),
        ("ㄱㅏ ㅋㅋ", "가 ᄏ ᄏ ᄏᄏ"),
        ("ที่นี่", "ที่ นี่ ที่นี่"),
        ("ខ្មែរ", "ខ្ មែ រ ខ្មែ មែរ"),
    ],
)
def test_scripts_without_spaces_give_letters_and_pairs(text: str, tokens: str) -> None:
    assert words(text) == tokens.split()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("ok👍", "ok 👍"),
        ("👍🏽👍", "👍 👍"),
        ("👩\u200d💻 👩🏿\u200d🚀", "👩 💻 👩 🚀"),
        ("❤\ufe0f☎\ufe0e", "❤ ☎"),
        ("🇩🇪🇫🇷🇩", "🇩🇪 🇫🇷 🇩"),
        ("1\ufe0f\u20e3 #\u20e3", "1 \u20e3 \u20e3"),
        ("a→b ≠ 3×4 1+1", "a → b ≠ 3 × 4 1 1"),
        ("\U0001faff", "\U0001faff"),
        ("$ € ™", "€ tm"),
    ],
)
def test_symbols_stand_for_themselves(text: str, tokens: str) -> None:
    assert words(text) == tokens.split()


def test_long_words_are_cut() -> None:
    assert words("x" * 8192) == ["x" * 64]
    assert words("é" * 8192) == ["e" * 64]
    assert words("ب" * 65) == ["ب" * 64]


def test_a_letter_has_at_most_four_marks() -> None:
    assert words("ก" + "\u0e34" * 9 + "ख" + "\u093f" * 9) == ["ก" + "\u0e34" * 4, "ख" + "\u093f" * 4]


@given(texts)
def test_tokens_are_what_the_index_takes_for_tokens(text: str) -> None:
    for token in words(text):
        assert re.fullmatch(r"[a-z0-9\u0080-\U0010ffff]{1,64}", token)
        assert not any(char.isspace() for char in token)
        assert token.encode()


@given(texts)
def test_composed_or_not_a_text_has_the_same_words(text: str) -> None:
    assert words(unicodedata.normalize("NFC", text)) == words(unicodedata.normalize("NFD", text))


@given(texts)
def test_a_text_has_the_words_of_its_pieces(text: str) -> None:
    assert words(f"{text} {text}") == words(text) * 2


@given(texts)
def test_a_text_that_is_normalised_piece_by_piece_is_normalised(text: str) -> None:
    folded, shape, starts, ends = module._located(text)
    assert (folded, shape) == module._fold(text)
    assert len(folded) == len(shape) == len(starts) == len(ends)
    assert all(0 <= start < end <= len(text) for start, end in zip(starts, ends, strict=True))
    assert list(starts) == sorted(starts)


def test_what_was_said_of_characters_is_kept_while_there_is_room() -> None:
    asked: list[str] = []

    def says(char: str) -> str:
        asked.append(char)
        return "x"

    table = module._Table(says, most=2)
    assert "abab".translate(table) == "xxxx"
    assert asked == ["a", "b"]
    assert "cab".translate(table) == "xxx"
    assert asked == ["a", "b", "c", "a", "b"]
    assert len(table) <= 2


# held


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", ""),
        ("The 3 them", "t th the 3 them"),
        ("meetings", "m me mee meet meeti meetin meetings"),
        ("Été", "e et ete"),
        ("会议，会议 👍👍", "会 议 会议 👍"),
        ("x" * 99, "x xx xxx xxxx xxxxx xxxxxx xxxxxxxx xxxxxxxxxxx xxxxxxxxxxxxxxxx"),
    ],
)
def test_the_index_holds_the_beginnings_of_words(text: str, tokens: str) -> None:
    assert held(text) == tokens.split()


@pytest.mark.parametrize(
    ("q", "asked"),
    [("the", "the"), ("meeting", "meetin"), ("meetings", "meetings"), ("会议室", "会议 议室"), ("👍", "👍")],
)
def test_the_index_is_asked_for_what_it_holds(q: str, asked: str) -> None:
    (term,) = parse(q)
    assert term.tokens == tuple(asked.split())


@given(texts)
def test_no_token_is_held_twice_and_none_is_long(text: str) -> None:
    tokens = held(text)
    assert len(set(tokens)) == len(tokens)
    assert all(len(token) <= max(BEGINNINGS) for token in tokens)


# parse


@pytest.mark.parametrize("q", ["", "!!!", '"*(-:)^+{}', " \n\0", "\u200d\ufe0f", "🏽", "\u0301"])
def test_nothing_is_left_of_some_queries(q: str) -> None:
    assert parse(q) == ()


def test_a_word_is_asked_for_as_a_prefix() -> None:
    (term,) = parse("Café")
    assert term == Term("word", "cafe", ("cafe",))


@pytest.mark.parametrize(
    ("q", "term"),
    [
        ("会", Term("run", "会", ("会",))),
        ("会议", Term("run", "会议", ("会议",))),
        ("会议室", Term("run", "会议室", ("会议", "议室"))),
        ("哈哈哈哈", Term("run", "哈哈哈哈", ("哈哈",))),
        ("ที่นี่", Term("run", "ที่นี่", ("ที่นี่",))),
        ("👍🏽", Term("symbol", "👍", ("👍",))),
        ("🇩🇪", Term("symbol", "🇩🇪", ("🇩🇪",))),
    ],
)
def test_a_run_is_asked_for_by_its_pairs_and_a_symbol_whole(q: str, term: Term) -> None:
    assert parse(q) == (term,)


def test_the_syntax_of_the_index_is_data() -> None:
    q = 'ada AND "bob" OR car* NOT (content:x) NEAR(y, 2) ^z -w + c17'
    asked = ["ada", "bob", "or", "car", "not", "content", "x", "near", "y", "2", "z", "w", "c17"]
    assert [term.text for term in parse(q)] == ["ada", "and", *asked[1:]]


def test_what_another_term_says_already_is_left_out() -> None:
    assert [term.text for term in parse("a An and and b 会议 会议 👍 👍🏽")] == ["and", "b", "会议", "👍"]


def test_a_query_has_its_limits() -> None:
    assert len(parse(" ".join(f"{number:03}" for number in range(99)))) == 16
    assert [len(term.text) for term in parse("x" * 99 + " é" + "x" * 99)] == [64, 64]
    (term,) = parse("".join(map(chr, range(0x4E00, 0x4F00))))
    assert (len(term.text), len(term.tokens)) == (64, 8)


# matches


@pytest.mark.parametrize(
    ("q", "text"),
    [
        ("hel", "Oh, hello"),
        ("WORLD hello", "hello world"),
        ("cafe", "CAFE\u0301s"),
        ("café", "cafe"),
        ("ещё", "Еще"),
        ("istanbul", "İSTANBUL"),
        ("STRASS", "Straße"),
        ("fi", "ﬁne"),
        ("会", "开会了"),
        ("会议室", "在会议室里"),
        ("ヒー", "コーヒーです"),
        ("ｶﾞ", "ガス"),
        ("국", "한국어"),
        ("नम", "नमस्ते"),
        ("นี่", "ที่นี่"),
        ("محمد", "مُحَمَّد"),
        ("👍", "ok👍🏿!"),
        ("👩\u200d💻", "👩🏽\u200d💻"),
        ("🇩🇪", "🇫🇷🇩🇪"),
        ("x" * 99, "x" * 80),
        ("", "anything"),
    ],
)
def test_a_text_matches(q: str, text: str) -> None:
    assert matches(parse(q), text)


@pytest.mark.parametrize(
    ("q", "text"),
    [
        ("ello", "hello"),
        ("hello", "hell o"),
        ("hello world", "hello"),
        ("会室", "会议室"),
        ("议会", "会议"),
        ("会议室", "会议 议室"),
        ("ที", "ที่"),
        ("か", "が"),
        ("하", "한"),
        ("🇩🇪", "🇫🇩🇪🇫"),
        ("👍", "👎"),
        ("c", "会"),
        ("a", ""),
    ],
)
def test_a_text_does_not_match(q: str, text: str) -> None:
    assert not matches(parse(q), text)


@given(texts)
def test_a_text_has_its_own_terms(text: str) -> None:
    assert matches(parse(text), text)


@given(texts)
def test_a_text_has_each_of_its_words(text: str) -> None:
    for token in words(text):
        if module._fold(token)[0] == token:  # a mark between two parts of a syllable, which is dropped, held them apart
            assert matches(parse(token), text)


@given(texts, texts)
def test_what_the_index_must_hold_it_holds(q: str, text: str) -> None:
    for term in parse(q + text[5:10]):
        if matches([term], text):
            assert set(term.tokens) <= set(held(text))


@given(texts)
def test_the_index_takes_the_tokens_as_they_are(text: str) -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE held USING fts5(content, tokenize='ascii')")
    database.execute("CREATE VIRTUAL TABLE tokens USING fts5vocab(held, instance)")
    database.execute("INSERT INTO held VALUES (?)", [" ".join(held(text))])
    found = [row[0] for row in database.execute("SELECT term FROM tokens ORDER BY offset")]
    database.close()
    assert found == held(text)


# snippet


@pytest.mark.parametrize(
    ("q", "text", "parts"),
    [
        ("hel", "Oh, Hello hell", "Oh, [Hel]lo [hel]l"),
        ("wor hello", "hello world", "[hello] [wor]ld"),
        ("cafe", "my cafe\u0301s", "my [cafe\u0301]s"),
        ("istan", "İstanbul", "[İstan]bul"),
        ("stras", "Straße", "[Straß]e"),
        ("fin", "(ﬁne)", "([ﬁn]e)"),
        ("fi", "ﬁne", "[ﬁ]ne"),
        ("f", "ﬁne", "[ﬁ]ne"),
        ("会议 议室", "在会议室里", "在[会议室]里"),
        ("哈哈", "哈哈哈!哈", "[哈哈哈]!哈"),
        ("ガ", "ｶﾞｽ", "[ｶﾞ]ｽ"),
        ("👍", "a 👍🏽👎", "a [👍🏽]👎"),
        ("👩", "👩\u200d💻", "[👩\u200d]💻"),
        ("🇩🇪", "🇫🇷🇩🇪", "🇫🇷[🇩🇪]"),
        ("½", "a ½ b", "a [½] b"),
        ("1/2", "½", "[½]"),
        ("zzz", "nothing", "nothing"),
        ("", "nothing", "nothing"),
        ("a", "", ""),
    ],
)
def test_a_snippet_shows_the_text_as_it_was_written(q: str, text: str, parts: str) -> None:
    assert shown(snippet(parse(q), text)) == parts


@pytest.mark.parametrize(
    ("q", "text", "parts"),
    [
        ("needle", "word " * 20 + "needle" + " word" * 20, "…word [needle] word word…"),
        ("needle", "needle " + "word " * 20, "[needle] word word word…"),
        ("needle", "word " * 20 + "needle", "…word word word [needle]"),
        ("needle", "words" * 20 + "-needle " + "words" * 20, "…words-[needle] wordswordsw…"),
        ("zzz", "word " * 20, "word word word word word…"),
        (
            "会议",
            "一二三四五六七八九十" * 5 + "会议" + "一二三四五六七八九十" * 5,
            "…五六七八九十[会议]一二三四五六七八九十一二三四五六…",
        ),
        ("哈哈", "哈" * 99, f"[{'哈' * 24}]…"),
        ("a", "a" + "\u0301" * 99, f"[a{chr(0x301) * 23}]…"),
        ("b", "a" + "\u0301" * 99 + "(b) " + "c" * 99, "…([b]) " + "c" * 20 + "…"),
        ("b", "a" + "\u0301" * 99 + "\u3042b " + "c" * 99, "…あ[b] " + "c" * 21 + "…"),
    ],
)
def test_a_long_text_is_cut_where_it_can_be(q: str, text: str, parts: str) -> None:
    assert shown(snippet(parse(q), text, length=24)) == parts


@given(texts, texts, st.integers(8, 60))
def test_the_parts_are_a_piece_of_the_text(q: str, text: str, length: int) -> None:
    terms = parse(q + text[10:20])
    parts = snippet(terms, text, length=length)
    piece = plain(parts)
    if len(text) <= length:
        assert piece == text
    else:
        inner = piece.removeprefix("…").removesuffix("…")
        assert any(candidate in text and len(candidate) <= length for candidate in (inner, piece[:-1], piece[1:]))
    assert all(part.text for part in parts)
    assert all(one.hit != other.hit for one, other in itertools.pairwise(parts))
    assert any(part.hit for part in parts) == any(matches([term], text) for term in terms)


@given(texts)
def test_a_hit_has_the_term_that_was_looked_for(text: str) -> None:
    for term in parse(text):
        for part in snippet([term], text):
            assert not part.hit or matches([term], part.text)


@pytest.mark.parametrize("text", ["e\u0301" * 4096, "哈" * 8192, "a " * 4096, "a" + "\u0301" * 8191, "ก็" * 4096])
def test_the_longest_text_takes_milliseconds(text: str) -> None:
    terms = parse(text[:128] + " 1 2 3 4 5 6 7 8 9 a")
    began = time.perf_counter()
    snippet(terms, text)
    assert time.perf_counter() - began < 1.0
