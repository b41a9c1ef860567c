"""Words are found in any Unicode text, in one form however they were written, and the passages that show them hold them."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.highlights import passages
from knowledge.words import LONGEST_WORD, composed, is_lone, letters_in, words, words_in

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200)
SAMPLE = "".join(chr(point) for point in range(sys.maxunicode + 1) if unicodedata.category(chr(point)) not in {"Cs", "Cn", "Co"})


def texts_of(text: str) -> list[str]:
    return [word.text for word in words(composed(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Größe, the GROSSE.", "the grosse the grosse"),
        ("naïve cafe\u0301 \ufb01ne Łódź smørrebrød İstanbul", "naive cafe fine lodz smorrebrod istanbul"),
        ("don't max_tokens=4096 user@example.com 3.14", "don t max tokens 4096 user example com 3 14"),
        ("ΣΊΣΥΦΟΣ Ёлка", "σισυφοσ елка"),
        ("שָׁלוֹם مَرْحَبًا हिन्दी", "שלום مرحبا हिन्दी"),
        ("soft\u00adhyphen zero\u200bwidth می\u200cروم", "softhyphen zerowidth میروم"),
        ("数据库 库", "数据 据库 库"),
        ("ｶﾞｷﾞﾊ ガギハ", "ガギ ギハ ガギ ギハ"),
        ("학교에서 \u1112\u1161\u11a8\u1100\u116d", "학교 교에 에서 학교"),
        ("ภาษา", "ภา าษ ษา"),
        ("GPT4の使い方", "gpt4 の使 使い い方"),
        ("½ 😀 … _ ", "1 2"),
        ("", ""),
    ],
)
def test_a_word_has_one_form(text: str, expected: str) -> None:
    assert texts_of(text) == expected.split()


def test_words_are_looked_for_in_a_text_as_they_would_be_found() -> None:
    text = "鯨と海 whale, GPT4の使い方, Größe naïve max_tokens"
    wanted = {"鯨と", "使い", "gpt4", "grosse", "naive", "tokens"}
    assert words_in(text, wanted | {"whales", "whal", "gpt", "海w", "鯨海", "axtokens"}) == wanted
    assert wanted <= {word.text for word in words(composed(text))}


@pytest.mark.parametrize(("word", "lone"), [("鯨", True), ("ก", True), ("집", True), ("鯨と", False), ("a", False), ("ab", False)])
def test_a_lone_letter_is_one_of_a_script_without_spaces(word: str, *, lone: bool) -> None:
    assert is_lone(word) is lone
    assert letters_in(f"大{word}大", [word]) == {word}


@given(TEXTS)
def test_a_word_in_its_form_keeps_it(text: str) -> None:
    for word in texts_of(text):
        assert texts_of(word) == [word]


def test_every_letter_of_unicode_in_its_form_keeps_it() -> None:
    assert [letter for letter in SAMPLE for word in texts_of(letter) if texts_of(word) != [word]] == []


@given(TEXTS)
def test_words_are_bounded_in_number_and_length(text: str) -> None:
    found = texts_of(text)
    # The longest decomposition of one character (U+FDFA) has four words.
    assert len(found) <= 4 * len(text)
    assert all(0 < len(word) <= LONGEST_WORD for word in found)


@given(TEXTS)
def test_the_same_text_in_another_normal_form_has_the_same_words(text: str) -> None:
    assert texts_of(unicodedata.normalize("NFD", text)) == texts_of(text)


@given(TEXTS)
def test_words_stand_where_they_say(text: str) -> None:
    text = composed(text)
    places = [(word.start, word.end) for word in words(text)]
    assert places == sorted(places)
    assert all(0 <= start < end <= len(text) for start, end in places)


@given(TEXTS, st.sets(st.sampled_from(["a", "the", "数据", "grosse", "1"])), st.integers(1, 5), st.integers(20, 60))
def test_passages_are_bounded_pieces_of_the_text(text: str, wanted: set[str], most: int, length: int) -> None:
    text = f"{text} the Größe 数据 {text}"
    found = passages(text, wanted, most=most, length=length)
    assert 1 <= len(found) <= most
    for passage in found:
        assert passage.text in composed(text)
        assert len(passage.text) <= length
        assert passage.ranges == sorted(passage.ranges)
        assert all(0 <= start < end <= len(passage.text) for start, end in passage.ranges)
        assert all(earlier[1] < later[0] for earlier, later in zip(passage.ranges, passage.ranges[1:], strict=False))
        assert bool(passage.ranges) == bool({word.text for word in words(composed(text))} & wanted)


def test_passages_show_the_words_with_what_stands_around_them() -> None:
    text = "Nothing here. " * 20 + "The deadlock of PostgreSQL was found." + " More of nothing." * 20
    (passage,) = passages(text, {"deadlock", "postgresql"}, most=3, length=80)
    assert [passage.text[start:end] for start, end in passage.ranges] == ["deadlock", "PostgreSQL"]
    assert passage.text.startswith(("Nothing", "here"))
    assert [one.text for one in passages("A short one.", {"absent"}, most=3, length=5)] == ["A sho"]
    assert passages("   ", {"absent"}, most=3, length=5) == []


def test_overlapping_pairs_are_shown_as_one_range() -> None:
    (passage,) = passages("我们的数据库很慢", {"数据", "据库"}, most=3, length=80)
    assert [passage.text[start:end] for start, end in passage.ranges] == ["数据库"]
