"""``medseg models label``, ``remove`` and ``restore``: changes to models of the user's own, each of them asked for."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medseg.bundles.relabel import LabelChange
    from medseg.spec.labels import LabelSpec

ModelId = Annotated[str, typer.Argument(metavar="ID", help="Id of a model.")]


def label_model(
    model_id: ModelId,
    value: Annotated[int | None, typer.Argument(metavar="VALUE", help="Of the segment to change.")] = None,
    name: Annotated[str | None, typer.Option(help="Its new name.")] = None,
    term: Annotated[
        str | None, typer.Option(help="An anatomical term ('left kidney'), or a code as SCHEME:VALUE:MEANING.")
    ] = None,
    color: Annotated[str | None, typer.Option(help="Its new colour, #rrggbb.")] = None,
    suggested: Annotated[bool, typer.Option("--suggested", help="Take every suggestion that is shown.")] = False,
) -> None:
    """Show the segments of a model with suggested terms; change one of them, or take all suggestions."""
    from medseg.bundles.catalogue import find_bundle
    from medseg.bundles.own import require_own
    from medseg.bundles.relabel import LabelChange, difference_lines, relabelled, suggested_changes
    from medseg.bundles.update import update_bundle
    from medseg.cli.console import output
    from medseg.spec.errors import JobError

    bundle = find_bundle(model_id)
    labels = bundle.manifest.labels
    given = LabelChange(name=name, color=color, code=term)
    if (value is None) != (given == LabelChange()) or (suggested and value is not None):
        msg = "a change needs the VALUE of a segment and --name, --term or --color; or --suggested alone"
        raise JobError(msg)
    if value is None and not suggested:
        _show(labels, suggested_changes(labels))
        return
    require_own(bundle)
    changed = relabelled(bundle.manifest, suggested_changes(labels) if value is None else {value: given})
    lines = difference_lines(labels, changed.labels)
    if lines:
        update_bundle(bundle, changed)
    for line in lines or ["nothing to change"]:
        output().print(line, markup=False, soft_wrap=True)


def remove_model(
    model_id: ModelId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take a model of your own out of the list; its folder is kept, hidden beside the others."""
    from medseg.bundles.catalogue import find_bundle
    from medseg.bundles.own import remove_bundle, removed_place, require_own
    from medseg.cli.console import output

    bundle = find_bundle(model_id)
    require_own(bundle)
    if not yes:
        question = f"Remove {bundle.manifest.title}? {bundle.folder} is moved to {removed_place(bundle).parent}"
        typer.confirm(question, abort=True)
    place = remove_bundle(bundle)
    output().print(
        f"{model_id} is removed from the list; it lies in {place}: 'medseg models restore {model_id}' brings it "
        "back; or delete it there",
        markup=False,
        soft_wrap=True,
    )


def restore_model(
    name: Annotated[str, typer.Argument(metavar="ID", help="Id of a removed model, or its folder's name in .removed.")],
) -> None:
    """Bring a removed model of your own back into the list; of several of one id the latest."""
    from medseg.bundles.own import restore_bundle
    from medseg.cli.console import output

    bundle = restore_bundle(name)
    output().print(
        f"{bundle.manifest.model_id} is in the list again; it lies in {bundle.folder}", markup=False, soft_wrap=True
    )


def _show(labels: "Sequence[LabelSpec]", suggestions: "dict[int, LabelChange]") -> None:
    from medseg.bundles.relabel import code_text, color_text
    from medseg.cli.console import output, table

    shown = table("", "value", "segment", "colour", "code", "suggested term", numbers_from=5)
    for label in labels:
        term = suggestions[label.value].code if label.value in suggestions else ""
        shown.add_row(str(label.value), label.name, color_text(label.color), code_text(label), term or "")
    output().print(shown)
