"""The curves of a run as one picture: loss, Dice and learning rate over the steps."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from medseg.io.atomic import replacing
from medseg.training.loop.run_log import LogRow

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 900, 260, 70, 20, 30, 34  # of a panel, pixels
_BACKGROUND, _GRID, _TEXT = (255, 255, 255), (225, 228, 232), (50, 54, 60)
_FAINT, _LINE = (190, 205, 225), (20, 90, 170)
_SMOOTH = 50  # steps of the moving mean

Points = Sequence[tuple[float, float]]


def write_curves(rows: Sequence[LogRow], path: Path) -> None:
    """Draw the log of a run as PNG, in one step; a picture that is there is replaced."""
    with replacing(path, overwrite=True) as temporary:
        draw_curves(rows).save(temporary, format="PNG")


def draw_curves(rows: Sequence[LogRow]) -> Picture.Image:
    """Draw three panels; one without points says so."""
    loss = [(row.step, row.loss) for row in rows if math.isfinite(row.loss)]
    dice = [(row.step, row.dice) for row in rows if row.dice is not None]
    rate = [(row.step, row.learning_rate) for row in rows]
    last = max((row.step for row in rows), default=1)
    canvas = Picture.new("RGB", (_WIDTH, 3 * _HEIGHT), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    best = f", best {max(value for _, value in dice):.4f}" if dice else ""
    panels: tuple[tuple[str, Points, Points], ...] = (
        (f"loss, and its mean over {_SMOOTH} steps", loss, _smoothed(loss)),
        (f"Dice of the averaged weights on the validation cases{best}", (), dice),
        ("learning rate", (), rate),
    )
    for number, (title, faint, line) in enumerate(panels):
        _draw_panel(draw, number * _HEIGHT, title, faint, line, last)
    return canvas


def _draw_panel(draw: ImageDraw.ImageDraw, top: int, title: str, faint: Points, line: Points, last: int) -> None:
    font = ImageFont.load_default(13)
    draw.text((_LEFT, top + 8), title, fill=_TEXT, font=font)
    values = [value for _, value in (*faint, *line)]
    if not values:
        draw.text((_LEFT, top + _HEIGHT // 2), "not measured yet", fill=_TEXT, font=font)
        return
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * point[0] / max(1, last)
        y = top + _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - (point[1] - low) / (high - low))
        return x, y

    for part in range(5):
        value = low + (high - low) * part / 4
        (left, y), (right, _) = place((0, value)), place((last, value))
        draw.line([(left, y), (right, y)], fill=_GRID)
        draw.text((_LEFT - 6, y), f"{value:.3g}", fill=_TEXT, font=font, anchor="rm")
        step = last * part / 4
        draw.text(
            (place((step, low))[0], top + _HEIGHT - _BOTTOM + 6), f"{step:.0f}", fill=_TEXT, font=font, anchor="ma"
        )
    for points, colour, width in ((faint, _FAINT, 1), (line, _LINE, 2)):
        if len(points) > 1:  # of which no more are drawn than there are pixels, twice over
            shown = points[:: max(1, len(points) // (2 * _WIDTH))]
            draw.line([place(point) for point in shown], fill=colour, width=width)
    if len(line) <= 60:
        for point in line:
            x, y = place(point)
            draw.ellipse([x - 3, y - 3, x + 3, y + 3], fill=_LINE)


def _smoothed(points: Points) -> Points:
    if len(points) <= _SMOOTH:
        return []
    values = np.convolve([value for _, value in points], np.ones(_SMOOTH) / _SMOOTH, mode="valid")
    return [(points[n + _SMOOTH - 1][0], float(value)) for n, value in enumerate(values)]
