"""Django's translations, remembered: a page of cards says the same few sentences dozens of times."""

from functools import lru_cache

from django.utils import translation


def gettext(sentence: str) -> str:
    """Return a sentence in the active language."""
    return _in_language(sentence, translation.get_language())


@lru_cache(maxsize=1024)
def _in_language(sentence: str, language: str | None) -> str:
    return translation.gettext(sentence)
