"""Text from courses and messages stays within the line that shows it."""

import json
import logging
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lms_integration.log_lines import CONTINUATION, OneLineFormatter, one_line
from overview_worker.commands.console import PlainConsole

HOSTILE = (
    "Name\r\n2026-11-22 ERROR forged entry\x1b[31m\x00\u202e\u2028\x85[red]bold[/red][/]:smile:"
)


@given(st.text())
def test_one_line_is_printable_and_leaves_printable_text_alone(text):
    shown = one_line(text)

    assert shown.isprintable()
    assert shown == text or not text.isprintable()


@pytest.fixture
def log():
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLineFormatter("ENTRY %(levelname)s %(message)s"))
    logger = logging.getLogger("tests.log_lines")
    logger.propagate = False
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)


def test_a_message_cannot_begin_another_entry(log):
    logger, stream = log

    logger.warning("degraded: %s", HOSTILE)

    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().startswith("ENTRY WARNING degraded: Name\\r\\n2026")
    assert stream.getvalue().rstrip("\n").isprintable()


def test_the_words_of_an_error_cannot_either(log):
    logger, stream = log

    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logger.exception("failed on %s", HOSTILE)

    entry, *traceback = stream.getvalue().rstrip("\n").split("\n")
    assert entry.startswith("ENTRY ERROR failed on Name")
    assert all(line.startswith(CONTINUATION) and line.isprintable() for line in traceback)
    assert any("forged entry" in line for line in traceback)


@given(st.dictionaries(st.text(), st.text()))
def test_json_stays_json(value):
    text = json.dumps(value, ensure_ascii=False)

    assert json.loads(one_line(text)) == value


def test_the_console_shows_markup_and_control_characters_and_obeys_neither():
    output = StringIO()
    console = PlainConsole(
        file=output, width=400, force_terminal=True, markup=False, emoji=False, highlight=False
    )

    console.print(HOSTILE)

    shown = output.getvalue()
    assert "[red]bold[/red][/]:smile:" in shown
    assert "\\u001b[31m" in shown
    assert "\x1b" not in shown
    assert "\r" not in shown
