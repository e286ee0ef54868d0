"""``medseg models``: which models there are, whose they are, and everything known about one."""

from typing import Annotated

import typer

from medseg.cli.compose import compose
from medseg.cli.model_changes import label_model, remove_model, restore_model
from medseg.cli.model_imports import import_model
from medseg.cli.model_places import show_places, show_terms

models = typer.Typer(
    help="List, show, import, compose, label, remove or restore models.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
models.command("import")(import_model)
models.command("compose")(compose)
models.command("import-bundle", hidden=True)(import_model)  # its older name, of MONAI bundles alone
models.command("label")(label_model)
models.command("terms")(show_terms)
models.command("remove")(remove_model)
models.command("restore")(restore_model)
models.command("where")(show_places)


@models.callback()
def list_models(context: typer.Context) -> None:
    """List, show, import, compose, label, remove or restore models."""
    if context.invoked_subcommand is not None:
        return
    from medseg.bundles.catalogue import scan, user_folder
    from medseg.cli.console import errors, output, table

    found = scan()
    shown = table("", "model", "version", "anatomy", "channels", "origin", "segments", numbers_from=6)
    for model_id, bundle in found.bundles.items():
        manifest = bundle.manifest
        channels = ", ".join(channel.name for channel in manifest.channels)
        row = (model_id, manifest.version, manifest.anatomy, channels, bundle.origin, str(len(manifest.labels)))
        shown.add_row(*row)
    if found.bundles:
        output().print(shown)
    else:
        output().print(f"no models found; add a bundle to {user_folder()}", markup=False)
    for broken in found.broken:
        errors().print(f"warning: {broken.reason}", style="yellow", markup=False)


@models.command()
def show(model_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a model.")]) -> None:
    """Show everything known about one model."""
    from medseg.bundles.card import import_lines, timing_rows
    from medseg.bundles.catalogue import find_bundle
    from medseg.cli.console import output, table

    bundle = find_bundle(model_id)
    manifest = bundle.manifest
    console = output()
    facts = {
        "id": f"{manifest.model_id} {manifest.version}",
        "title": manifest.title,
        "description": manifest.description,
        "anatomy": manifest.anatomy,
        "intended use": manifest.intended_use,
        "channels": ", ".join(f"{channel.name} ({channel.modality})" for channel in manifest.channels),
        "network": manifest.network,
        "spacing": "the image's own" if manifest.spacing_mm is None else f"{manifest.spacing_mm} mm",
        "window": f"{manifest.window_shape} voxels, overlap {manifest.overlap:g}",
        "training": manifest.training_data,
        "scores": "; ".join(f"mean Dice {each.plain.mean_dice.mean} ({each.dataset})" for each in manifest.scores)
        or "none",
        "timings": ", ".join(f"{name} {value}" for name, value in timing_rows(manifest.timings)) or "none",
        "licence": manifest.licence,
        "authors": manifest.authors,
        "references": "; ".join(manifest.references) or "none",
        "origin": bundle.origin,
        "folder": str(bundle.folder),
    }
    for name, value in facts.items():
        console.print(f"{name:13s} {value}", markup=False, soft_wrap=True)
    for line in import_lines(manifest.imported):
        console.print(f"{'on import':13s} {line}", markup=False, soft_wrap=True)
    shown = table("", "value", "segment", "colour", "code", numbers_from=4)
    for label in manifest.labels:
        code = f"{label.type.scheme} {label.type.value} {label.type.meaning}"
        shown.add_row(str(label.value), label.name, "#{:02x}{:02x}{:02x}".format(*label.color), code)
    console.print(shown)
