"""Text that a host wrote reaches a terminal, a log and the UI as text."""

import pytest

from infra.errors import StepFailed
from infra.text import cell, excerpt, plain, printable

CLEAR, BELL, TURNED, LINK = "\x1b[2J", "\x07", "\u202e", "\x9d8;;http://evil\x9c"


@pytest.mark.parametrize("act", [CLEAR, BELL, TURNED, LINK, "\r"])
def test_what_a_terminal_acts_on_is_gone(act: str) -> None:
    for made_fit in (printable, plain, cell):
        assert not set(act) & set("\x1b\x07\u202e\x9d\x9c\r") & set(made_fit(f"a{act}b"))


def test_an_error_that_quotes_a_host_has_no_escape_sequences() -> None:
    error = StepFailed(f"vps: it said {CLEAR}all is well.", f"Look{BELL}.")
    assert str(error) == "vps: it said ?[2Jall is well. Look?."
    assert "\x1b" not in repr(error)


def test_readable_text_stays_as_it_is() -> None:
    text = "Überall gut:\n\tzwei Zeilen"
    assert printable(text) == text


def test_an_excerpt_is_as_long_as_we_say_whatever_a_stranger_says() -> None:
    assert excerpt("a\nb", lines=2) == "a\nb"
    assert excerpt(f"a{CLEAR}\n" * 1000, lines=2) == "a?[2J\na?[2J\n…"
    assert excerpt("x" * 1000, lines=2, width=3) == "xxx"


def test_a_cell_has_no_markup_of_its_own() -> None:
    assert cell("a|b <img>\n[x](y)") == "a&#124;b &#60;img&#62; &#91;x&#93;(y)"
