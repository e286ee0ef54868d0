"""The door for Python: a path, an image or a SimpleITK image in, a segmentation out. torch waits until it is needed."""

import inspect
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, Unpack, get_type_hints

import numpy as np

from medseg.imaging.image import Image
from medseg.jobs.run.progress import IsCancelled, OnEvent, ignore_event, never
from medseg.spec.errors import ImageError, JobError
from medseg.spec.job import OptionKeywords, Options, options_from
from medseg.spec.manifest import ModelManifest
from medseg.spec.option import keywords_of

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813 - its own name for itself

    from medseg.jobs.run.results import Segmentation

Source: TypeAlias = "Path | str | Image | sitk.Image"
Function = TypeVar("Function", bound=Callable[..., Any])


def _with_options(function: Function) -> Function:
    """Let ``help`` and ``inspect`` see every option with its default, in place of ``**options``."""
    signature, hints = inspect.signature(function), get_type_hints(OptionKeywords)
    options = keywords_of(Options).values()
    listed = [
        inspect.Parameter(
            each.keyword, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.keyword]
        )
        for each in options
    ]
    named = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=[*named, *listed])  # type: ignore[attr-defined]
    lines = [
        textwrap.fill(f"{each.keyword}: {each.help}; it {each.rule}.", 110, subsequent_indent="    ")
        for each in options
    ]
    texts = "\n".join(["Options, of which None means what the model's manifest says:", *lines])
    function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n{texts}\n"
    return function


@_with_options
def segment(
    image: "Source | Sequence[Source]",
    *,
    model: str,
    output: Path | str | None = None,
    overwrite: bool = False,
    probabilities: bool = False,
    frame: int | None = None,
    on_event: OnEvent = ignore_event,
    cancelled: IsCancelled = never,
    **options: Unpack[OptionKeywords],
) -> "Segmentation":
    """Segment one case; for many with one model there is ``Segmenter``.

    Args:
        image: a file or DICOM folder, a ``medseg.Image`` or a SimpleITK image; or one of these a channel, in order.
        model: id of a model, which ``medseg.models()`` knows, or the folder of its bundle.
        output: where to write the labels; None: nothing is written.
        overwrite: whether an existing output may be replaced. An input never is.
        probabilities: also return the probabilities.
        frame: which time point of a 4-D file, or acquisition of a DICOM series; not beside images in memory.
        on_event: hears progress and warnings.
        cancelled: asked between windows; True stops.
        **options: how and where to run it.

    Returns:
        The labels on the input's own grid, with names, measures and, if asked for, probabilities.

    Raises:
        medseg.MedSegError: one of its kinds, when the user can mend it.
    """
    with Segmenter(model, **options) as segmenter:
        return segmenter(
            image,
            output=output,
            overwrite=overwrite,
            probabilities=probabilities,
            frame=frame,
            on_event=on_event,
            cancelled=cancelled,
        )


class Segmenter:
    """A model that stays warm: its network is loaded once, and its engines are made once, for many images.

    >>> with medseg.Segmenter("hippocampus-ultralight3d", device="cpu") as segmenter:  # doctest: +SKIP
    ...     for path in paths:
    ...         segmenter(path, output=path.with_suffix(".seg.nrrd"))
    """

    @_with_options
    def __init__(self, model: str, **options: Unpack[OptionKeywords]) -> None:
        """Choose the model and how to run it; the network is loaded for the first image.

        Args:
            model: id of a model, which ``medseg.models()`` knows, or the folder of its bundle.
            **options: how and where to run it; a call may change them for its image.

        Raises:
            medseg.MedSegError: when there is no such model or device, or an option means nothing.
        """
        self._options = options_from(options)
        from medseg.bundles.catalogue import open_bundle
        from medseg.inference.device import choose_device
        from medseg.jobs.run.kept_engines import KeptEngines
        from medseg.jobs.run.loaded_networks import LoadedNetworks

        self._bundle = open_bundle(model)
        choose_device(self._options.device)
        self._engines = KeptEngines()
        self._networks: LoadedNetworks | None = LoadedNetworks(limit=1, dropped=self._engines.forget)

    def __call__(
        self,
        image: "Source | Sequence[Source]",
        *,
        output: Path | str | None = None,
        overwrite: bool = False,
        probabilities: bool = False,
        frame: int | None = None,
        on_event: OnEvent = ignore_event,
        cancelled: IsCancelled = never,
        **options: Unpack[OptionKeywords],
    ) -> "Segmentation":
        """Segment one case; arguments, result and errors as of ``medseg.segment``.

        Options that are given hold for this image; the others stay as the ``Segmenter`` was made.

        Raises:
            medseg.MedSegError: also when it was closed.
        """
        from medseg.jobs.run.results import Outputs
        from medseg.jobs.run.segment import segment_case

        if self._networks is None:
            msg = f"this Segmenter of {self._bundle.manifest.model_id} is closed, got one more image; make a new one"
            raise JobError(msg)
        given, known = options_from(options), keywords_of(Options)
        changed = {known[keyword].field: getattr(given, known[keyword].field) for keyword in options}
        if {"roi_ras_mm", "roi_voxels"} & set(changed):  # another region takes the place of the first
            changed = {"roi_ras_mm": None, "roi_voxels": None, **changed}
        return segment_case(
            [from_simpleitk(source) if _is_simpleitk(source) else source for source in _sources(image)],
            self._bundle,
            replace(self._options, **changed),
            outputs=Outputs(labels=None if output is None else Path(output), overwrite=overwrite),
            frame=frame,
            want_probabilities=probabilities,
            load=self._networks.load,
            engines=self._engines,
            on_event=on_event,
            cancelled=cancelled,
        )

    def close(self) -> None:
        """Give the memory of network and engines back; the second time nothing happens."""
        if self._networks is not None:
            self._networks.clear()
        self._networks = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: Path | str, *, frame: int | None = None) -> Image:
    """Read an image ``(C, I, J, K)`` in RAS mm from a file or DICOM folder.

    What is odd about it is said with Python's ``warnings``.

    Args:
        path: .nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd, a DICOM slice or a folder of one series.
        frame: which time point of a 4-D file, or acquisition of a DICOM series, counted from 0.

    Raises:
        medseg.ImageError: when it cannot be read, or what it says about itself cannot be true.
    """
    from medseg.io.read import read_image

    reading = read_image(Path(path), frame=frame)
    for warning in reading.warnings:
        warnings.warn(f"{path}: {warning}", stacklevel=2)
    return reading.image


def models() -> dict[str, ModelManifest]:
    """The installed models: what each says of itself, by its id."""
    from medseg.bundles.catalogue import catalogue

    return {model_id: bundle.manifest for model_id, bundle in catalogue().items()}


def from_simpleitk(image: Any) -> Image:
    """Take over a SimpleITK volume (LPS, its own axis order) without changing a voxel.

    Raises:
        ImageError: when it is not 3-D.
    """
    import SimpleITK as sitk  # noqa: N813 - its own name for itself

    if image.GetDimension() != 3:
        msg = f"an image has 3 dimensions, got {image.GetDimension()}; take one volume out of it first"
        raise ImageError(msg)
    array = sitk.GetArrayFromImage(image)
    channels = np.moveaxis(array, -1, 0) if array.ndim == 4 else array[None]
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return Image(np.ascontiguousarray(channels.transpose(0, 3, 2, 1)), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def _sources(image: Any) -> list[Any]:
    """One source, or several.

    Raises:
        ImageError: when it is neither.
    """
    try:
        sources = [image] if _is_source(image) else list(image)
    except TypeError:  # there is nothing in it
        sources = [image]
    for source in sources:
        if not _is_source(source):
            found = source if isinstance(image, list | tuple) else image
            shape = f" of shape {tuple(found.shape)}" if hasattr(found, "shape") else ""
            msg = (
                f"an image is a path, a medseg.Image, a SimpleITK image, or a sequence of these, one a channel; got "
                f"{type(found).__name__}{shape}; an array (I, J, K) becomes an image with "
                f"medseg.Image(array[None], affine), where affine (4, 4) maps voxels to RAS mm"
            )
            raise ImageError(msg)
    return sources


def _is_source(source: object) -> bool:
    return isinstance(source, Path | str | Image) or _is_simpleitk(source)


def _is_simpleitk(source: object) -> bool:
    """Who has an image of SimpleITK has imported it."""
    module = sys.modules.get("SimpleITK")
    return module is not None and isinstance(source, module.Image)
