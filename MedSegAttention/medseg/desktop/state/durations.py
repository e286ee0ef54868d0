"""How long something takes, in words: nobody reads 3720 s."""

from medseg.desktop.state.translation import _

_FEW = 10  # seconds that are not counted
_MINUTE, _HOUR = 60, 3600


def in_words(seconds: float) -> str:
    """About how long.

    Example:
        >>> [in_words(each) for each in (3, 44, 100, 3720, 9000)]
        ['a few seconds', 'about 40 seconds', 'about 2 minutes', 'about 1 hour', 'about 2 hours 30 minutes']
    """
    if seconds < _FEW:
        return _("a few seconds")
    if seconds < 1.5 * _MINUTE:
        return _("about {count} seconds").format(count=10 * max(1, round(seconds / 10)))
    if seconds < _HOUR - _MINUTE / 2:
        return _("about {count} minutes").format(count=round(seconds / _MINUTE))
    hours, tens = divmod(round(seconds / (10 * _MINUTE)), 6)
    whole = _("about 1 hour") if hours == 1 else _("about {count} hours").format(count=hours)
    return whole if tens == 0 else _("{hours} {count} minutes").format(hours=whole, count=10 * tens)
