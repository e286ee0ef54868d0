"""Translation, and sentences that the panel says."""

from collections.abc import Collection

from medseg.desktop.state.durations import in_words
from medseg.desktop.state.translation import _ as _  # for all others, too
from medseg.spec.events import (
    CannotStart,
    Described,
    Event,
    Failed,
    Finished,
    Learning,
    Noted,
    Progress,
    Started,
    Stopped,
    Using,
    Warned,
)

# How much of a run each stage takes, in percent: begin and end. Windows are nearly everything.
_SHARES = {
    "read": (0, 3),
    "preprocess": (3, 5),
    "locate": (5, 8),
    "windows": (8, 88),
    "restore": (88, 95),
    "postprocess": (95, 98),
    "write": (98, 100),
}
# The same for an import: an archive is unpacked, weights are read, one window is tried.
_IMPORT_SHARES = {"unpack": (0, 20), "open": (20, 70), "try": (70, 98)}


_TRAINED = 98  # percent of a training; then the model is written


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


def percent_done(progress: Progress | Learning) -> int:
    """How much of the whole job is done, 0..100; never goes back within a job."""
    if isinstance(progress, Learning):
        return min(_TRAINED, round(_TRAINED * progress.part))
    begin, end = (_SHARES | _IMPORT_SHARES)[progress.stage]
    part = min(1.0, progress.done / progress.total) if progress.total > 0 else 0.0
    return round(begin + (end - begin) * part)


def describe_event(event: Event) -> str:
    """One line for the status of the panel."""
    match event:
        case Started():
            return _("Started")
        case Using():
            return _describe_use(event)
        case Progress(stage, _done, _total, seconds_left):
            left = "" if seconds_left is None else ", " + _("{time} left").format(time=in_words(seconds_left))
            return _stage_name(stage) + left
        case Learning():
            return _describe_learning(event)
        case Noted(message):
            return message
        case Warned(message):
            return _("Warning: {message}").format(message=message)
        case Described(devices):
            return _("Networks can run on: {devices}").format(devices=", ".join(each.title for each in devices))
        case Finished():
            device = _with_engine(event.device, event.engine)
            return _("Done in {seconds:.1f} s on {device}").format(seconds=event.seconds, device=device)
        case Failed() | Stopped():
            return _describe_failure(event)


def _describe_failure(event: Failed | Stopped) -> str:
    if isinstance(event, Stopped):
        return _("Cancelled; nothing was changed")
    if isinstance(event, CannotStart):
        text = _("{program} cannot be started ({reason}); choose a Python that has medsegattention")
        return text.format(program=event.program, reason=event.reason)
    bug = _("Something went wrong in the program: {message}").format(message=event.message)
    return bug if event.is_bug else event.message


def _describe_use(event: Using) -> str:
    memory = "" if event.memory_mb is None else f", {event.memory_mb} MiB"
    device = _with_engine(event.device, event.engine)
    return _("Running on {device}").format(device=device) + f" ({event.threads} threads{memory})"


def _with_engine(device: str, engine: str) -> str:
    return _("{device} by {engine}").format(device=device, engine=engine) if engine else device


def _describe_learning(event: Learning) -> str:
    if event.step == 0:
        return _("Reading the cases")
    words = [_("Training")]
    if event.dice is not None and event.best_dice is not None:
        words.append(_("Dice {dice:.3f} (best {best:.3f})").format(dice=event.dice, best=event.best_dice))
    if event.loss is not None:
        words.append(_("loss {loss:.3f}").format(loss=event.loss))
    if event.seconds_left is not None:
        words.append(_("{time} left").format(time=in_words(event.seconds_left)))
    return ", ".join(words)


def _stage_name(stage: str) -> str:
    names = {
        "read": _("Reading the volume"),
        "preprocess": _("Preparing the volume"),
        "locate": _("Looking for the place of the model"),
        "windows": _("The network looks at the volume"),
        "restore": _("Back to the volume's own grid"),
        "postprocess": _("Cleaning the segments"),
        "write": _("Writing the result"),
        "unpack": _("Unpacking the archive"),
        "open": _("Reading the model and comparing its weights"),
        "try": _("Trying one window"),
    }
    return names[stage]
