"""The log is what a person would want to paste: no bars, no endless repeats, never more than a few thousand lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.desktop.panel.log_book import LogBook

BARS = [
    "\r 10%|#         | 1/10 [00:01<00:09,  1.00it/s]\r 90%|#########  | 9/10 [00:09<00:01,  1.00it/s]",
    " 12%|██▏       | 12/100 [00:01<00:10, 9.1it/s]",
    "   ━━━━━━━━━━╸━━━━━━━━━ 1.2/2.3 MB 4.1 MB/s eta 0:00:01",
    "\x1b[32mDownloading: [####      ] 40 %\x1b[0m",
]
WORDS = [
    "epoch 3: loss 0.12, Dice 82 %",
    "-----------------------------",
    "File 'a.py', line 12",
    "shape [1, 2, 3] 4",
    "====== 10",
]


@pytest.fixture
def heard():
    return []


@pytest.fixture
def book(heard):
    made = LogBook()
    made.listen(heard.append)
    return made


def test_lines_are_kept_in_order_and_told_at_once(book, heard):
    for line in ("one", "two\nthree", "", "  \n", "four\r\n"):
        book.add(line)
    assert heard == ["one", "two", "three", "four"]
    assert book.text() == "one\ntwo\nthree\nfour"


def test_a_line_that_comes_again_is_counted(book, heard):
    for _ in range(1000):
        book.add("warning: old driver")
    assert book.text() == "warning: old driver\n(the line above came 999 more times)"
    book.add("done")
    book.add("done")
    assert heard == ["warning: old driver", "(the line above came 999 more times)", "done"]
    assert book.text().endswith("done\n(the line above came 1 more time)")


@pytest.mark.parametrize("bar", BARS)
def test_of_a_progress_bar_only_its_last_state_is_kept(book, heard, bar):
    book.add("begin")
    for _ in range(500):
        book.add(bar)
    book.add(" 100%|##########| 10/10 [00:10<00:00, 1.00it/s]")
    assert heard == ["begin"]
    book.add("end")
    assert book.text().split("\n") == ["begin", " 100%|##########| 10/10 [00:10<00:00, 1.00it/s]", "end"]


@pytest.mark.parametrize("line", WORDS)
def test_what_only_looks_a_little_like_a_bar_is_kept(book, heard, line):
    book.add(line)
    assert heard == [line]


def test_what_a_return_overwrote_and_the_colours_of_a_terminal_are_gone(book):
    book.add("wrong\rright")
    book.add("\x1b[1;31mred\x1b[0m")
    assert book.text() == "right\nred"


def test_it_never_keeps_more_than_its_limit():
    book = LogBook(limit=3)
    for number in range(10):
        book.add(f"line {number}")
    assert book.text() == "line 7\nline 8\nline 9"


@given(st.lists(st.sampled_from(["a", "b", "", BARS[1], BARS[2], "c\nd"])))
def test_what_was_told_is_always_the_beginning_of_the_text(lines):
    heard = []
    book = LogBook()
    book.listen(heard.append)
    for line in lines:
        book.add(line)
    assert book.text().split("\n")[: len(heard)] == heard or not heard
