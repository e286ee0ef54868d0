"""Translation, and sentences that the panel says."""

from collections.abc import Callable, Collection

from medseg.spec.events import CANCELLED, Described, Event, Failed, Finished, Progress, Started, Using, Warned

try:
    from slicer.i18n import tr
except ImportError:

    def tr(text: str) -> str:
        """Outside Slicer texts stay English."""
        return text


# Slicer's own function and none of ours around it: it looks a text up by the file that it is called from.
_: Callable[[str], str] = tr


# How much of a run each stage takes, in percent: begin and end. Windows are nearly everything.
_SHARES = {
    "read": (0, 3),
    "preprocess": (3, 8),
    "windows": (8, 88),
    "restore": (88, 95),
    "postprocess": (95, 98),
    "write": (98, 100),
}


# Keys of Slicer's own menus, and of what is always seen of the panel.
_TAKEN = frozenset("efvhabcdgijmnopqrstuwx3")


def with_key(name: str, taken: Collection[str] = ()) -> str:
    """Give a label from elsewhere a key, the first sign in it that is free; Qt marks it by an ampersand before it.

    Args:
        name: of anything; ampersands in it are shown as they are.
        taken: keys beside those of the panel's other controls.
    """
    for place, sign in enumerate(name):
        if sign.isalnum() and sign.isascii() and sign.lower() not in _TAKEN | set(taken):
            return name[:place].replace("&", "&&") + "&" + name[place:].replace("&", "&&")
    return name.replace("&", "&&")


def percent_done(progress: Progress) -> int:
    """How much of the whole job is done, 0..100; never goes back within a job."""
    begin, end = _SHARES[progress.stage]
    part = min(1.0, progress.done / progress.total) if progress.total > 0 else 0.0
    return round(begin + (end - begin) * part)


def describe_event(event: Event) -> str:
    """One line for the status of the panel."""
    match event:
        case Started():
            return _("Started")
        case Using(device, threads, memory_mb):
            memory = "" if memory_mb is None else f", {memory_mb} MiB"
            return _("Running on {device}").format(device=device) + f" ({threads} threads{memory})"
        case Progress(stage, _done, _total, seconds_left):
            left = "" if seconds_left is None else ", " + _("{seconds:.0f} s left").format(seconds=seconds_left)
            return _stage_name(stage) + left
        case Warned(message):
            return _("Warning: {message}").format(message=message)
        case Described(devices):
            return _("Networks can run on: {devices}").format(devices=", ".join(each.title for each in devices))
        case Finished(_outputs, device, seconds):
            return _("Done in {seconds:.1f} s on {device}").format(seconds=seconds, device=device)
        case Failed(message, is_bug):
            if message == CANCELLED:
                return _("Cancelled; nothing was changed")
            return _("Something went wrong in the program: {message}").format(message=message) if is_bug else message


def _stage_name(stage: str) -> str:
    names = {
        "read": _("Reading the volume"),
        "preprocess": _("Preparing the volume"),
        "windows": _("The network looks at the volume"),
        "restore": _("Back to the volume's own grid"),
        "postprocess": _("Cleaning the segments"),
        "write": _("Writing the segments"),
    }
    return names[stage]
