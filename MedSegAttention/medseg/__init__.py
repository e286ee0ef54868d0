"""MedSegAttention: segment medical volumes with attention networks, in 3D Slicer, the shell and Python.

>>> import medseg
>>> result = medseg.segment("t1.nii.gz", model="hippocampus-ultralight3d")  # doctest: +SKIP
>>> result.save("hippocampus.seg.nrrd")  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medseg.imaging.image import Image
    from medseg.jobs.correct import Correction, correct
    from medseg.jobs.python_call import Segmenter, models, read, segment
    from medseg.jobs.run.results import Segmentation
    from medseg.spec.errors import (
        Cancelled,
        FieldError,
        ImageError,
        JobError,
        ManifestError,
        MedSegError,
        MissingDependency,
        ModelNotFound,
        OutputExists,
        WeightsError,
    )
    from medseg.spec.manifest import ModelManifest
    from medseg.spec.postprocess import PostprocessRule
    from medseg.spec.stroke import Stroke

    __version__: str

__all__ = [
    "Cancelled",
    "Correction",
    "FieldError",
    "Image",
    "ImageError",
    "JobError",
    "ManifestError",
    "MedSegError",
    "MissingDependency",
    "ModelManifest",
    "ModelNotFound",
    "OutputExists",
    "PostprocessRule",
    "Segmentation",
    "Segmenter",
    "Stroke",
    "WeightsError",
    "__version__",
    "correct",
    "models",
    "read",
    "segment",
]

_HOMES = {
    "medseg.imaging.image": ("Image",),
    "medseg.jobs.correct": ("Correction", "correct"),
    "medseg.jobs.python_call": ("Segmenter", "models", "read", "segment"),
    "medseg.jobs.run.results": ("Segmentation",),
    "medseg.spec.manifest": ("ModelManifest",),
    "medseg.spec.postprocess": ("PostprocessRule",),
    "medseg.spec.stroke": ("Stroke",),
    "medseg.spec.errors": (
        "Cancelled",
        "FieldError",
        "ImageError",
        "JobError",
        "ManifestError",
        "MedSegError",
        "MissingDependency",
        "ModelNotFound",
        "OutputExists",
        "WeightsError",
    ),
}


if not TYPE_CHECKING:  # a type checker would take every misspelt name for one of these

    def __getattr__(name: str) -> Any:
        """Import a name when it is asked for: ``medseg --help`` and Slicer import this file and need none of them."""
        if name == "__version__":
            from medseg.spec.version import program_version

            return program_version()
        for home, names in _HOMES.items():
            if name in names:
                from importlib import import_module

                globals()[name] = getattr(import_module(home), name)
                return globals()[name]
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)


def __dir__() -> list[str]:
    """Every public name, imported or not."""
    return sorted({*globals(), *__all__})
