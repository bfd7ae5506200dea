"""Whitespace, hyphenation, sentences and the exact place of a quote."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text import (
    Hyphenation,
    Normalised,
    collapse_whitespace,
    locate,
    normalise,
    readable,
    sentence_spans,
    strip_span,
)


def _sentences(text: str) -> list[str]:
    return [collapse_whitespace(text[start:end]) for start, end in sentence_spans(text)]


def test_collapse_and_strip() -> None:
    assert collapse_whitespace(" a\u00a0\n\tb ") == "a b"
    assert strip_span("xx  ab \nyy", 2, 8) == (4, 6)
    assert strip_span("    ", 1, 3) == (3, 3) or strip_span("    ", 1, 3)[0] >= 1


@pytest.mark.parametrize(
    "sentences",
    [
        ["One is here.", "Two is there!", "Is three?", "Yes."],
        [
            "Mr. Smith met Dr. J. R. Jones in St. Louis, Mo. and left.",
            "He paid $3.50 vs. No. 5 at 10 a.m. sharp.",
        ],
        ["See e.g. Fig. 3 and i.e. Sec. 4.2 et al. for it.", "The U.S. Government agreed."],
        ["He lives in the U.S.", "He is happy.", "It closed at 5 p.m.", "We left."],
        ["Apple Inc. Chief Tim Cook spoke.", "He works at Apple Inc.", "The company grew."],
        ["“Stop!” he cried.", "“I will not.”", "(Nor will I.)", "She left …", "Then nothing."],
        ["“Really?” she asked.", "He said: “No.”", "‘Well,’ they said."],
        ["Version 3.11.7 is at www.example.com now.", "It costs 1.5 million."],
        ["So ... he waited.", "Nothing came...", "Then he left."],
        ["Er kam am 3. Oktober an.", "Das war z.B. gut.", "Am Abend ging er."],
        ["Он пришёл.", "Она ушла!", "И т.е. всё."],
        ["第一句话。", "第二句话！", "“第三句话？”", "完。"],
        ["ذهب إلى البيت.", "هل رأيته؟", "نعم."],
        ["It ended in chapter 3.", "Then a new one began.", "It was vitamin C.", "The end."],
        ["Was it I.", "Then who?!", "Wow!!", "Good."],
    ],
)
def test_sentences_of_running_text(sentences: list[str]) -> None:
    joiner = "" if "第" in sentences[0] else " "
    assert _sentences(joiner.join(sentences)) == sentences


def test_hard_wrapped_lines_are_one_sentence() -> None:
    text = (
        "The committee met on Tuesday in the house of Mr.\nSmith, where it was agreed by all members "
        "of the Royal\nSociety that nothing should be done before the\nspring of 1843. It then\nadjourned."
    )
    assert [sentence[-12:] for sentence in _sentences(text)] == ["ing of 1843.", "n adjourned."]


def test_headings_lists_and_tables_are_sentences() -> None:
    text = (
        "Chapter 1\nIt was a dark and stormy night, and the rain fell in torrents upon the "
        "old house\nby the sea.\n\n"
        "2. Methods\n\nWe used:\n- a hammer\n- a saw\n• a nail\n(a) first thing\n(b) second thing\n"
        "Revenue 12,345 10,233\nCost of revenue 1,234 1,022\nName\tValue\nx\t1\n"
    )
    assert _sentences(text) == [
        "Chapter 1",
        "It was a dark and stormy night, and the rain fell in torrents upon the old house by the sea.",
        "2. Methods",
        "We used:",
        "- a hammer",
        "- a saw",
        "• a nail",
        "(a) first thing",
        "(b) second thing",
        "Revenue 12,345 10,233",
        "Cost of revenue 1,234 1,022",
        "Name Value",
        "x 1",
    ]


def test_a_page_break_ends_a_sentence_only_where_a_line_end_would() -> None:
    first, second = "The long sentence of this page goes on and on and", "continues on the next page. End."
    text = f"{first}\n\n{second}"
    assert len(sentence_spans(text)) == 3
    assert _sentences(text[: len(text)]) != [f"{first} continues on the next page.", "End."]
    spans = sentence_spans(text, {len(first)})
    assert [collapse_whitespace(text[a:b]) for a, b in spans] == [
        f"{first} continues on the next page.",
        "End.",
    ]


_TEXTS = st.one_of(
    st.text(),
    st.text(alphabet='aA1.!?"”( \n\t-•。…\u00ad', max_size=200),
    st.lists(
        st.sampled_from(["Mr.", "Smith", "went.", "\n\n", "\n", " ", "“Yes!”", "3.5", "U.S.", "和。"])
    ).map("".join),
)


@given(_TEXTS)
def test_spans_tile_the_text(text: str) -> None:
    spans = sentence_spans(text)
    assert "".join(text[start:end] for start, end in spans) == text
    for number, (start, end) in enumerate(spans):
        assert start < end
        assert text.strip() == "" or text[start:end].strip()
        if number + 1 < len(spans):
            assert not text[end - 1].isspace()


@pytest.mark.parametrize(
    "unit", ["a", " ", "\n", ".", "a.", '"', ".)", "A ", "a\n", " \n", "\t", "1.\n", "-\n", "…", "Mr. "]
)
def test_segmentation_is_linear(unit: str) -> None:
    def seconds(num_chars: int) -> float:
        text = unit * (num_chars // len(unit))
        start = time.process_time()
        sentence_spans(text)
        normalise(text)
        return time.process_time() - start

    seconds(1000)
    assert seconds(200_000) < 8 * max(seconds(50_000), 0.05)


def test_hyphens_at_line_ends_by_evidence() -> None:
    document = "The exceptions were stock-based. An excep-\ntion is stock-\nbased, "
    document += "well-\nknown to the Anglo-\nSaxons."
    hyphenation = Hyphenation(document + " exception well known")
    assert readable(document, hyphenation) == (
        "The exceptions were stock-based. An exception is stock-based, well-known to the Anglo-Saxons."
    )
    assert readable("excep-\ntions of Dal\u00ad\nrymple  2019-\n20") == "exceptions of Dalrymple 2019- 20"
    assert hyphenation.undo("no break - here") == "no break - here"


@given(st.text(alphabet="ab-\n \u00ad", max_size=60))
def test_readable_keeps_all_letters(text: str) -> None:
    def letters(some: str) -> list[str]:
        return [char for char in some if char.isalpha()]

    assert letters(readable(text, Hyphenation(text))) == letters(text)


@pytest.mark.parametrize(
    ("needle", "found"),
    [
        ("stock-based exceptions", ["stock-\nbased excep-\ntions"]),
        ("stockbased EXCEPTIONS", ["stock-\nbased excep-\ntions"]),
        ("  stock- based  exceptions ", ["stock-\nbased excep-\ntions"]),
        ('"Dalrymple"', ["“Dal\u00ad\nrymple”"]),
        ("a fine re-sign", ["a ﬁne re-sign"]),
        ("a fine resign", []),
        ("finere-sign", []),
        ("word-word", ["word—word"]),
        ("word - word", ["word—word"]),
        ("naïve", ["nai\u0308ve", "naïve"]),
        ("2019-20", ["2019–\n20"]),
        ("201920", []),
        ("привет", ["При\u00adвет"]),
        ("it's", ["it’s"]),
        ("thewhole", ["the\u200bwhole"]),
        ("wait...", ["wait…"]),
        ("ＡＢＣ", ["ABC"]),
        ("strasse", ["Straße"]),
        ("", []),
        (" \n", []),
        ("absent", []),
    ],
)
def test_locate_whatever_the_typography(needle: str, found: list[str]) -> None:
    text = (
        "The stock-\nbased excep-\ntions of “Dal\u00ad\nrymple” are a ﬁne re-sign, word—word, nai\u0308ve "
        "or naïve; 2019–\n20. При\u00adвет: it’s  the\u200bwhole, wait… ABC Straße"
    )
    assert [text[start:end] for start, end in locate(needle, text)] == found
    assert [text[start:end] for start, end in locate(needle, Normalised(text))] == found


def test_locate_can_keep_case() -> None:
    assert locate("Smith", "smith Smith SMITH") == [(0, 5), (6, 11), (12, 17)]
    assert locate("Smith", "smith Smith SMITH", keep_case=True) == [(6, 11)]


@given(st.text(max_size=80), st.data())
def test_a_piece_of_the_text_is_found_where_it_stands(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    words = text[start:end].split()
    if not normalise(text[start:end]) or any(not normalise(word) for word in words):
        return
    for found_start, found_end in locate(text[start:end], text):
        assert 0 <= found_start < found_end <= len(text)
        assert normalise(text[found_start:found_end]).replace(" ", "") == normalise(text[start:end]).replace(
            " ", ""
        )


@given(
    st.lists(
        st.sampled_from(["alpha", "Beta", "gam-\nma", "“del’ta”", "ﬁnal", "x\u00ady", "3.5", "naïve"]),
        min_size=3,
    )
)
def test_every_run_of_words_is_found(words: list[str]) -> None:
    text = "\n".join(["Start", *words])
    assert locate(" ".join(words), text) == [(6, len(text))]


def test_search_in_a_large_text_is_fast() -> None:
    text = "Every sentence of this text says “the same”,\nover and over, except one. " * 10_000
    text += "Here is the nee-\ndle. " + text
    start = time.process_time()
    haystack = Normalised(text)
    assert time.process_time() - start < 20
    start = time.process_time()
    assert len(locate("the needle", haystack)) == 1
    assert time.process_time() - start < 1
