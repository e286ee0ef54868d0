"""The flags that every command with a network has: one for each of ``Options``, made from what it says of itself."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any, get_args, get_origin

import typer

from medseg.spec.errors import JobError
from medseg.spec.job import QUICK, QUICK_HELP, Options
from medseg.spec.option import About, options_of
from medseg.spec.postprocess import PostprocessRule

ModelId = Annotated[
    str, typer.Option("--model", "-m", help="Id of a model, see 'medseg models', or the folder of one.")
]

OUTPUT_HELP = ".seg.nrrd, .nii.gz, .nii, .nrrd or .mha; of a DICOM series also .dcm (DICOM SEG) or .labelmap.dcm"
_EXAMPLES = {"roi": "-40,0,-50,10,-40,20", "roi_voxels": "10,60,20,80,0,40"}


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command flags in place of its parameter ``options: Options``; it must have a parameter ``model`` too.

    The model's own rule of postprocessing is read only where a flag changes a part of it.
    """
    own = inspect.signature(command)
    flags = list(_flags())

    def run(**given: Any) -> None:
        chosen = {flag.name: given.pop(flag.name) for flag in flags}
        command(options=_read(chosen, given["model"]), **given)

    kept = [parameter for parameter in own.parameters.values() if parameter.name != "options"]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in kept] + flags
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined] # what typer reads
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _flags() -> Iterator[inspect.Parameter]:
    for about in options_of(Options).values():
        if about.kind is PostprocessRule:
            for part in options_of(PostprocessRule).values():
                yield _flag(replace(part, is_optional=True, default=None))
            continue
        yield _flag(about)
        if about.keyword == "spacing_factor":
            quick = Annotated[bool, typer.Option("--quick", help=f"{QUICK_HELP}.")]
            yield inspect.Parameter("quick", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=quick)


def _flag(about: About) -> inspect.Parameter:
    """One option as typer reads it."""
    name = about.keyword.replace("_", "-")
    is_box = get_origin(about.kind) is tuple
    kind = str if is_box or about.choices else about.kind
    names = [f"--{name}/--no-{name}"] if about.kind is bool else [f"--{name}"]
    help_text = f"{about.help} ({taken})." if (taken := _taken(about)) else f"{about.help}."
    shown: Any = "the model's" if about.is_optional and not is_box else about.default is not None
    flag = typer.Option(*names, help=help_text, show_default=shown, metavar=_metavar(about))
    annotation = Annotated[kind | None if about.is_optional else kind, flag]  # type: ignore[valid-type]
    return inspect.Parameter(
        about.keyword, inspect.Parameter.KEYWORD_ONLY, default=about.default, annotation=annotation
    )


def _metavar(about: About) -> str | None:
    """What stands for the value in the help; None: nothing, or what typer says of the type."""
    if about.unit == "mm3":
        return "MM3"
    return about.values.replace(" ", "-") if get_origin(about.kind) is tuple else None


def _taken(about: About) -> str:
    """Which values are taken, where the name and the type do not say it."""
    if get_origin(about.kind) is tuple:
        return about.unit
    if about.choices:
        return f"{', '.join(about.choices[:-1])} or {about.choices[-1]}"
    if about.low is not None and about.high is not None:
        return f"{about.low:g} to {about.high:g}"
    return about.values


def _read(chosen: dict[str, Any], model: str) -> Options:
    """The options that flags stand for.

    Raises:
        JobError: if a value means nothing, or two of them say different things.
    """
    if chosen.pop("quick"):
        if chosen["spacing_factor"] != Options().spacing_factor:
            factor = chosen["spacing_factor"]
            msg = f"--quick means --spacing-factor {QUICK:g}, and {factor:g} was given too; leave one of them out"
            raise JobError(msg)
        chosen["spacing_factor"] = QUICK
    rule = {name: value for name in options_of(PostprocessRule) if (value := chosen.pop(name)) is not None}
    values: dict[str, Any] = {}
    for about in options_of(Options).values():
        if about.keyword in chosen:
            value = chosen[about.keyword]
            values[about.field] = _numbers(about, value) if get_origin(about.kind) is tuple else value
    if rule:
        from medseg.bundles.catalogue import open_bundle

        values["postprocess"] = replace(open_bundle(model).manifest.postprocess, **rule)
    return Options(**values)


def _numbers(about: About, text: str | None) -> tuple[float, ...] | None:
    """Numbers with commas; None for none.

    Raises:
        JobError: if there are more or less of them, or something else.
    """
    if text is None:
        return None
    kinds, parts = get_args(about.kind), text.split(",")
    try:
        return tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))
    except ValueError as error:
        flag = f"--{about.keyword.replace('_', '-')}"
        msg = f"{flag} {about.rule}, got {text!r}; write e.g. {flag}={_EXAMPLES[about.keyword]}"
        raise JobError(msg) from error
