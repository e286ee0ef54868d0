"""The curves of all rows as one picture: one panel a row, Dice of the averaged weights over minutes."""

import math
from collections.abc import Callable, Sequence

from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from Zoo.results import Result

_COLUMNS, _WIDTH, _HEIGHT = 3, 320, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 12, 28, 26
_LOW, _HIGH, _STEP = 0.4, 0.9, 0.1  # Dice; what lies lower is drawn at the lower edge
_PAPER, _GRID, _TEXT, _FAINT, _LINE = (255, 255, 255), (225, 228, 232), (50, 54, 60), (200, 204, 210), (20, 90, 170)

Points = Sequence[tuple[float, float]]


def draw_dice(rows: Sequence[Result]) -> Picture.Image:
    """Draw the panels, in the order of the rows; the curve of the first row is repeated in grey in all others."""
    lines = math.ceil(len(rows) / _COLUMNS)
    canvas = Picture.new("RGB", (_COLUMNS * _WIDTH, max(1, lines) * _HEIGHT), _PAPER)
    draw = ImageDraw.Draw(canvas)
    curves = [_points(row) for row in rows]
    last = max((minutes for curve in curves for minutes, _ in curve), default=1.0)
    for number, (row, curve) in enumerate(zip(rows, curves, strict=True)):
        corner = (number % _COLUMNS * _WIDTH, number // _COLUMNS * _HEIGHT)
        _draw_panel(draw, corner, row.title, curve, curves[0] if number else (), last)
    return canvas


def _points(row: Result) -> Points:
    return [] if row.training is None else [(minutes, dice) for minutes, dice in row.training.dice]


def _draw_panel(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], title: str, curve: Points, first: Points, last: float
) -> None:
    font, left, top = ImageFont.load_default(11), corner[0] + _LEFT, corner[1] + _TOP
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(point: tuple[float, float]) -> tuple[float, float]:
        part = (min(_HIGH, max(_LOW, point[1])) - _LOW) / (_HIGH - _LOW)
        return left + width * point[0] / last, top + height * (1 - part)

    best = f", {max(dice for _, dice in curve):.3f}" if curve else ": no score"
    draw.text((corner[0] + 8, corner[1] + 8), f"{title}{best}", fill=_TEXT, font=font)
    _draw_grid(draw, place, last, font)
    for points, colour, thick in ((first, _FAINT, 2), (curve, _LINE, 2)):
        if len(points) > 1:
            draw.line([place(point) for point in points], fill=colour, width=thick)
    for point in curve:
        x, y = place(point)
        draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=_LINE)


def _draw_grid(
    draw: ImageDraw.ImageDraw,
    place: Callable[[tuple[float, float]], tuple[float, float]],
    last: float,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    for number in range(round((_HIGH - _LOW) / _STEP) + 1):
        value = _LOW + number * _STEP
        start, end = place((0, value)), place((last, value))
        draw.line([start, end], fill=_GRID)
        draw.text((start[0] - 5, start[1]), f"{value:.1f}", fill=_TEXT, font=font, anchor="rm")
    for minutes in range(0, math.floor(last) + 1, max(1, round(last / 6))):
        x, y = place((minutes, _LOW))
        draw.text((x, y + 5), f"{minutes} min" if minutes == 0 else str(minutes), fill=_TEXT, font=font, anchor="ma")
