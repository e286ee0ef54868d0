"""``medseg models compose``: installed models become the stages of one."""

from pathlib import Path
from typing import Annotated

import typer

ModelId = Annotated[str | None, typer.Option("--id", help="Id of the new model; the folder's name by default.")]


def compose(
    recipe: Annotated[Path, typer.Argument(help="JSON file: labels, stages, join; see Models/README.md.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new bundle.")],
    model_id: Annotated[
        str | None, typer.Option("--id", help="Id of the new model; the folder's name by default.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing folder.")] = False,
) -> None:
    """Put installed models together: a rough one that finds and a fine one that segments, parts, or an average."""
    from medseg.bundles.model_id import model_id_of
    from medseg.bundles.recipe import compose_by, read_recipe
    from medseg.cli.console import output as console

    bundle = compose_by(read_recipe(recipe), output, model_id or model_id_of(output.resolve()), overwrite=overwrite)
    count = len(bundle.manifest.labels)
    console().print(
        f"{bundle.folder} is ready: {count} segment{'' if count == 1 else 's'}", markup=False, soft_wrap=True
    )
