"""Pictures are drawn for what the page links, in colours that can be told apart."""

import numpy as np
import pytest
from performance.plots import BLUE, ORANGE, draw
from performance.rows import Part, Row, Spot, Table
from PIL import Image

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def colours(path):
    with Image.open(path) as picture:
        return set(map(tuple, np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()))


def rgb(text):
    return tuple(int(text[place : place + 2], 16) for place in (1, 3, 5))


def test_a_table_and_the_operators_become_pictures_with_both_colours(tmp_path):
    rows = (Row("DynUNet eager", (4.0, 5.0), 900.0), Row("base openvino", (0.2, 0.3), 90.0))
    spots = tuple(Spot(f"one, {form}", 1e9, 1e8, (seconds,), 1e11, 3e10) for form, seconds in (("a", 0.5), ("b", 0.1)))
    hidden = Table("hidden", "h", "wall", 1, rows, plot=False)
    parts = [Part("networks", (Table("cube", "t", "wall", 2, rows), hidden)), Part("operators", spots=spots)]
    drawn = draw(parts, tmp_path)
    assert sorted(drawn) == ["cube", "roofline"]
    for path in drawn.values():
        assert {rgb(BLUE), rgb(ORANGE)} <= colours(path)


def test_a_row_without_memory_is_drawn_too(tmp_path):
    table = Table("cube", "t", "wall", 2, (Row("a", (1.0,)), Row("b", (2.0,), 5.0)))
    (path,) = draw([Part("networks", (table,))], tmp_path).values()
    assert path.stat().st_size > 5000
