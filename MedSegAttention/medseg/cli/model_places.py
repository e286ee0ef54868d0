"""``medseg models where`` and ``medseg models terms``: folders that are searched, and words that segments may have."""

from typing import Annotated

import typer


def show_places(
    model_id: Annotated[str | None, typer.Argument(metavar="ID", help="Of one model: its folder alone.")] = None,
) -> None:
    """Show the folders of models, in the order in which they are searched, or the folder of one model."""
    from medseg.bundles.catalogue import find_bundle, scan, search_path
    from medseg.cli.console import errors, output, table

    if model_id is not None:
        output().print(str(find_bundle(model_id).folder), markup=False, soft_wrap=True)
        return
    found = scan()
    places = {each.folder for each in found.broken}
    shown = table("", "folder", "origin", "models", numbers_from=2)
    for root, origin in search_path():
        count = sum(bundle.folder in (root, root / bundle.folder.name) for bundle in found.bundles.values())
        shown.add_row(str(root), origin, "cannot be read" if root in places else str(count))
    output().print(shown)
    for broken in found.broken:
        errors().print(f"warning: {broken.reason}", style="yellow", markup=False)


def show_terms(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only terms that this name may stand for.")] = None,
) -> None:
    """Show the anatomical terms that segments can be labelled with, and their codes."""
    from medseg.bundles.anatomy import suggest, terms
    from medseg.cli.console import output, table

    found = terms() if name is None else suggest(name)
    if not found:
        output().print(f"no term is like {name!r}; without a name all are listed", markup=False)
        return
    shown = table("", "term", "code", "meaning", "colour", numbers_from=5)
    for term in found:
        side = "" if term.type_modifier is None else f", {term.type_modifier.meaning}"
        color = "" if term.color is None else f"#{bytes(term.color).hex()}"
        shown.add_row(term.name, f"{term.type.scheme} {term.type.value}", term.type.meaning + side, color)
    output().print(shown)
