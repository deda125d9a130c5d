"""What differs between two texts, word by word, for a page that shows them side by side. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

#: Texts of more words are shown whole: to compare them takes time that grows with their square.
COMPARED_WORDS = 600

_WORD = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A piece of a text, and whether the other text lacks it."""

    text: str
    differs: bool


def word_differences(old: str, new: str) -> tuple[Sequence[Part], Sequence[Part]]:
    """Return both texts in parts; of texts that are long, or have nothing in common, one part each."""
    old_words, new_words = _WORD.findall(old), _WORD.findall(new)
    if max(len(old_words), len(new_words)) > COMPARED_WORDS:
        return _whole(old), _whole(new)
    blocks = SequenceMatcher(None, old_words, new_words, autojunk=False).get_opcodes()
    olds, news = [], []
    for tag, old_from, old_to, new_from, new_to in blocks:
        differs = tag != "equal"
        olds.append(Part(text="".join(old_words[old_from:old_to]), differs=differs))
        news.append(Part(text="".join(new_words[new_from:new_to]), differs=differs))
    return [part for part in olds if part.text], [part for part in news if part.text]


def _whole(text: str) -> Sequence[Part]:
    return [Part(text=text, differs=True)] if text else []
