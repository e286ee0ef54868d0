"""Choices -> a job folder the worker can read; the worker's answer -> labels on the volume's grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.desktop.state.texts import _
from medseg.imaging.image import Image
from medseg.io.nifti_header import HEADER_BYTES, parse_header
from medseg.io.packed import first_bytes
from medseg.io.read import read_labels, read_layers
from medseg.io.write import write_image
from medseg.spec.errors import ImageError, JobError
from medseg.spec.job import Job, Options
from medseg.spec.manifest import ModelManifest

# These files are read once and deleted: compressing them would only cost time.
_INPUT, _LABELS, _PROBABILITIES = "input{}.nii", "labels.nii", "probabilities.nii"
_LAYERS = "labels.seg.nrrd"  # of labels that overlap: this format alone has layers


@dataclass(frozen=True)
class Request:
    """A job, and the folder that holds everything of it."""

    folder: Path
    job: Job


def write_request(
    folder: Path,
    images: Sequence[Image],
    manifest: ModelManifest,
    options: Options,
    *,
    probabilities: bool = False,
    model_folder: Path | None = None,
) -> Request:
    """Write the inputs of a job.

    Args:
        folder: exists and belongs to this job alone.
        images: one ``(1, I, J, K)`` image a channel, in the model's order, or one with all channels.
        manifest: of the model.
        options: what the user chose.
        probabilities: whether to ask for them too.
        model_folder: of the bundle; None: the worker looks for it by its id.

    Raises:
        JobError: if the number of channels is not the model's.
    """
    found, wanted = sum(image.channel_count for image in images), len(manifest.channels)
    if found != wanted:
        names = ", ".join(channel.name for channel in manifest.channels)
        msg = _("{model} takes {wanted} channel(s) ({names}), got {found}; choose a volume for each")
        raise JobError(msg.format(model=manifest.title, wanted=wanted, names=names, found=found))
    channels = [Image(channel[None], image.affine) for image in images for channel in image.array]
    inputs = [folder / _INPUT.format(number) for number in range(len(channels))]
    for path, channel in zip(inputs, channels, strict=True):  # a file of several would be taken for time points
        write_image(path, channel)
    job = Job(
        inputs=tuple(map(str, inputs)),
        model=manifest.model_id,
        output=str(folder / (_LABELS if manifest.overlapping is None else _LAYERS)),
        options=options,
        probabilities=str(folder / _PROBABILITIES) if probabilities else None,
        modality=images[0].modality,
        model_folder=None if model_folder is None else str(model_folder),
    )
    return Request(folder, job)


def read_answer(request: Request, source: Image) -> Image:
    """Read the labels of a finished job.

    Returns:
        ``(N, I, J, K)`` with the affine of ``source``: the file rounded it, the volume in the scene did not. Labels
        that overlap lie in several layers.

    Raises:
        ImageError: if the worker's labels do not lie on the input's grid.
    """
    path = Path(request.job.output)
    labels = read_layers(path) if path.name == _LAYERS else read_labels(path)
    if labels.shape != source.shape:
        msg = _("the worker's labels have shape {found}, the volume {wanted}; please report this")
        raise ImageError(msg.format(found=labels.shape, wanted=source.shape))
    return Image(labels.array, source.affine)


def read_probabilities(request: Request, source: Image) -> Image | None:
    """Open the probabilities of a finished job; None when they were not asked for.

    Returns:
        ``(L, I, J, K)`` float32, background first, with the affine of ``source``. The array is a read-only view of
        the file: memory is taken by what is looked at. On Windows the file stays as long as the view.

    Raises:
        ImageError: if they do not lie on the input's grid.
    """
    if request.job.probabilities is None:
        return None
    path = Path(request.job.probabilities)
    header = parse_header(path, first_bytes(path, HEADER_BYTES))
    *shape, count = (*header.dims, 1)[:4]  # of one label alone there is no fourth dimension
    is_whole = path.stat().st_size >= header.voxel_offset + header.voxel_bytes
    if tuple(shape) != source.shape or header.dtype != np.float32 or not is_whole:
        found = f"{header.dtype} of shape {tuple(shape)}{'' if is_whole else ', cut short'}"
        msg = _("the worker's probabilities are {found}, the volume {wanted}; please report this")
        raise ImageError(msg.format(found=found, wanted=source.shape))
    view = np.memmap(path, header.dtype, "r", header.voxel_offset, (*source.shape, count), order="F")
    return Image(view.transpose(3, 0, 1, 2), source.affine)
