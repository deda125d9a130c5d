"""Two texts side by side, word by word."""

from hypothesis import given
from hypothesis import strategies as st

from lms_integration.word_differences import COMPARED_WORDS, Part, word_differences


def test_words_that_differ_are_told_on_both_sides():
    old, new = word_differences("Tides of the sea", "Tides of the north sea")

    assert [part.text for part in old if part.differs] == []
    assert "".join(part.text for part in new if part.differs).strip() == "north"


def test_texts_of_many_words_are_shown_whole():
    old, new = word_differences("a " * COMPARED_WORDS * 2, "b")

    assert [len(parts) for parts in (old, new)] == [1, 1]
    assert old[0].differs


def test_nothing_is_shown_of_an_empty_text():
    assert word_differences("", "x") == ([], [Part(text="x", differs=True)])


@given(old=st.text(max_size=80), new=st.text(max_size=80))
def test_the_parts_are_the_texts(old, new):
    olds, news = word_differences(old, new)

    assert "".join(part.text for part in olds) == old
    assert "".join(part.text for part in news) == new
    kept = ["".join(p.text for p in parts if not p.differs) for parts in (olds, news)]
    assert kept[0] == kept[1]
