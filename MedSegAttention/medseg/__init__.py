"""MedSegAttention: segment medical volumes with attention networks, in 3D Slicer, the shell and Python.

>>> import medseg
>>> result = medseg.segment("t1.nii.gz", model="hippocampus-ultralight3d")  # doctest: +SKIP
>>> result.save("hippocampus.seg.nrrd")  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medseg.jobs.run.results import Segmentation

    __version__: str

__all__ = ["__version__", "segment"]


def __getattr__(name: str) -> Any:
    """Look the version up when it is asked for: it took a third of the time of ``medseg --help``."""
    if name != "__version__":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import metadata

    try:
        return metadata.version("medsegattention")
    except metadata.PackageNotFoundError:  # run from a source tree, or inside the Slicer extension
        return "0.1.0"


def segment(image: Any, *, model: str, output: Any = None, **choices: Any) -> "Segmentation":
    """Segment one case; see ``medseg.jobs.python_call.segment`` for every argument.

    Args:
        image: a path, a sequence of paths (one a channel), a ``medseg.imaging.image.Image`` or a SimpleITK image.
        model: id of a bundle.
        output: where to write the labels, or None.
        **choices: ``device``, ``overlap``, ``mirror``, ``roi``, ``probabilities``, ``on_event``, ``cancelled``, ...

    Returns:
        The labels on the input's own grid, with names, measures and, if asked for, probabilities.

    Raises:
        medseg.spec.errors.MedSegError: when the input or the choices cannot work; the message says what to do.
    """
    from medseg.jobs.python_call import segment as run

    return run(image, model=model, output=output, **choices)
