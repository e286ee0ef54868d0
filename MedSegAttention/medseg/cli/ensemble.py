"""``medseg ensemble``: several models of one kind become one bundle, whose answers are their mean."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medseg.bundles.weights import StoredAs


def ensemble(
    models: Annotated[list[str], typer.Argument(help="Ids or folders of models, e.g. of all folds.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new bundle.")],
    half: Annotated[bool, typer.Option("--half", help="Store the weights in float16.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing bundle.")] = False,
) -> None:
    """Put the weights of several models into one bundle; it averages their logits."""
    from medseg.bundles.catalogue import open_bundle
    from medseg.bundles.ensemble import combine
    from medseg.bundles.model_id import model_id_of
    from medseg.cli.console import output as console

    bundles = [open_bundle(name) for name in models]
    stored_as: StoredAs = "float16" if half else "float32"
    bundle = combine(bundles, output, model_id_of(output), stored_as=stored_as, overwrite=overwrite)
    size = bundle.weights_path.stat().st_size / 2**20
    console().print(f"{bundle.folder} holds {len(models)} models, {size:.1f} MiB", markup=False)
