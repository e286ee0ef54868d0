"""Times are said as people say them."""

import doctest
import itertools

from medseg.desktop.state import durations
from medseg.desktop.state.durations import in_words


def test_the_examples_are_so():
    assert doctest.testmod(durations) == doctest.TestResults(failed=0, attempted=1)


def test_a_longer_time_is_never_said_to_be_shorter():
    def said(text):
        units = {"few": 1, "second": 1, "minute": 60, "hour": 3600}
        words = text.replace("a few", "1 few").split()
        pairs = itertools.pairwise(words)
        return sum(int(n) * next(v for k, v in units.items() if u.startswith(k)) for n, u in pairs if n.isdigit())

    times = [said(in_words(seconds)) for seconds in range(40000)]
    assert times == sorted(times)
    assert all(abs(time - seconds) <= max(10, 0.34 * seconds) for seconds, time in enumerate(times))
