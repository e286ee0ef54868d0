"""``medseg models import``: models from elsewhere, opened without running anything of theirs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medseg.bundles.importing.choices import Choices, Imported

Output = Annotated[Path, typer.Option("--output", "-o", help="Folder of the new bundle.")]
ModelId = Annotated[str | None, typer.Option("--id", help="Id of the new model; the folder's name by default.")]
Title = Annotated[str | None, typer.Option(help="Title of the new model.")]
Labels = Annotated[str | None, typer.Option(help="Names of the segments with commas, or a JSON file.")]
Channels = Annotated[str | None, typer.Option(help="Input channels, name:modality with commas.")]
Intensity = Annotated[
    str | None,
    typer.Option(
        help="none, zscore[:nonzero], clip_unit:LOW,HIGH, percentile:LOW,HIGH or clip_zscore:LOW,HIGH,MEAN,STD."
    ),
]
Spacing = Annotated[str | None, typer.Option(help="Voxel size the network takes, in mm along i,j,k.")]
Orientation = Annotated[str | None, typer.Option(help="Directions in which i, j, k grow, e.g. RAS.")]
Window = Annotated[str | None, typer.Option(help="Voxels the network sees at once, i,j,k.")]
Slices = Annotated[str | None, typer.Option(help="Of a 2D network: axis i, j or k, :resize or :windows, :NEIGHBOURS.")]
Licence = Annotated[str | None, typer.Option(help="Licence of the weights.")]
Anatomy = Annotated[str | None, typer.Option(help="Where in the body.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing folder.")]


def import_model(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder or .zip of nnU-Net v2 or a MONAI bundle; or weights: safetensors, .pth, .pt, .model, .pkl."
        ),
    ],
    output: Output,
    network: Annotated[
        str | None, typer.Option(help="Of weights alone: see 'medseg networks', or monai: and one of MONAI's.")
    ] = None,
    labels: Labels = None,
    arguments: Annotated[
        str | None, typer.Option(help="Arguments of the network, JSON or a JSON file, where shapes do not tell.")
    ] = None,
    configuration: Annotated[
        str | None,
        typer.Option(help="Of nnU-Net: 2d, 3d_fullres, ..., where the folder holds several; with commas: averaged."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Of TotalSegmentator: total, total_fast, ..., where the folder holds several.")
    ] = None,
    folds: Annotated[
        str | None, typer.Option(help="Of nnU-Net: e.g. 0,1 or all; every fold that was trained by default.")
    ] = None,
    model_id: ModelId = None,
    title: Title = None,
    channels: Channels = None,
    intensity: Intensity = None,
    spacing: Spacing = None,
    orientation: Orientation = None,
    window: Window = None,
    slices: Slices = None,
    licence: Licence = None,
    anatomy: Anatomy = None,
    overwrite: Overwrite = False,
) -> None:
    """Import a model from elsewhere; nothing of it is run, and a file that would run code is refused."""
    choices = _choices(
        output, model_id, title, labels, channels, intensity, spacing, orientation, window, slices, licence, anatomy
    )
    from medseg.bundles.importing.kind import kind_of
    from medseg.cli.flag_values import read_arguments
    from medseg.spec.errors import JobError

    kind = kind_of(source)
    theirs = {"--configuration": configuration, "--task": task, "--folds": folds}
    ours = {"--network": network, "--arguments": arguments}
    own = {"--intensity": intensity, "--spacing": spacing, "--orientation": orientation, "--window": window}
    foreign = {"nnunet": ours | own | {"--slices": slices}, "monai": ours | theirs, "weights": theirs}[kind]
    if given := [flag for flag, value in foreign.items() if value is not None]:
        names = {"nnunet": "a model of nnU-Net, whose plans say it", "monai": "a MONAI bundle", "weights": "weights"}
        msg = f"{given[0]} says nothing about {names[kind]} ({source}); leave it out"
        raise JobError(msg)
    given_arguments = read_arguments(arguments)
    from medseg.bundles.importing.import_any import import_any

    made = import_any(
        source,
        output,
        choices,
        network=network,
        arguments=given_arguments,
        configuration=configuration,
        task=task,
        folds=None if folds is None else [fold.strip() for fold in folds.split(",")],
        overwrite=overwrite,
    )
    _report(made)


def _choices(
    output: Path,
    model_id: str | None,
    title: str | None,
    labels: str | None,
    channels: str | None,
    intensity: str | None,
    spacing: str | None,
    orientation: str | None,
    window: str | None,
    slices: str | None,
    licence: str | None,
    anatomy: str | None,
) -> "Choices":
    from medseg.bundles.importing.choices import Choices
    from medseg.bundles.model_id import model_id_of
    from medseg.cli import flag_values

    return Choices(
        model_id=model_id or model_id_of(output.resolve()),
        title=title,
        labels=flag_values.read_labels(labels),
        channels=flag_values.read_channels(channels),
        orientation=orientation,
        spacing_mm=flag_values.read_spacing(spacing),
        intensity=flag_values.read_intensity(intensity),
        window_shape=flag_values.read_voxels(window, "--window"),
        slices=flag_values.read_slices(slices),
        licence=licence,
        anatomy=anatomy,
    )


def _report(imported: "Imported") -> None:
    from medseg.cli.console import errors, output

    for note in imported.notes:
        errors().print(f"assumed: {note}", style="yellow", markup=False)
    manifest = imported.bundle.manifest
    if manifest.composition is not None:
        names = ", ".join(stage.name for stage in manifest.composition.stages)
        output().print(
            f"{imported.bundle.folder} is ready: {len(manifest.labels)} segments of the stages {names}, every weight "
            "checked, one window of each run",
            markup=False,
            soft_wrap=True,
        )
        return
    output().print(
        f"{imported.bundle.folder} is ready: {manifest.network}, every weight checked, one window of "
        f"{manifest.window_shape} voxels run",
        markup=False,
        soft_wrap=True,
    )
