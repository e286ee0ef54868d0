"""One request: every option a user has, in one place; the panel, the flags and the keywords are views of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict

from medseg.spec.errors import JobError
from medseg.spec.option import convert_numbers, faults, keywords_of, option
from medseg.spec.postprocess import PostprocessRule

Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
EngineName: TypeAlias = Literal["auto", "torch", "openvino"]  # what runs the network; auto: the fastest that agrees
Bounds: TypeAlias = tuple[float, float, float, float, float, float]  # R-, R+, A-, A+, S-, S+ in mm
VoxelBounds: TypeAlias = tuple[int, int, int, int, int, int]  # i, i stop, j, j stop, k, k stop

QUICK = 2.0  # the spacing factor of a quick preview
QUICK_HELP = "A faster and coarser preview, on voxels twice as large, to see whether model and region fit"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What can be chosen before there is a case; None means what the model's manifest says."""

    device: str = option("auto", "What the network runs on", title="Device", values="auto, cpu, cuda, cuda:1 or mps")
    overlap: float | None = option(
        None,
        "Share of a window that its neighbour sees too; more is slower and smoother",
        title="Overlap",
        low=0,
        high=0.9,
    )
    mirror: bool | None = option(
        None, "Average over mirrored copies of the volume; slower, often better", title="Mirroring"
    )
    precision: Precision = option(
        "float32",
        "How exactly the network calculates; half precision needs half the memory of a graphics card",
        title="Precision",
    )
    engine: EngineName = option(
        "auto",
        "What runs the network on a processor; left alone it is OpenVINO where that is installed, runs the network "
        "faster and gives the same answer, else PyTorch",
        title="Engine",
    )
    window_batch: int = option(
        1,
        "How many windows the network sees in one go; more can be faster on a graphics card and takes more memory",
        title="Windows at once",
        unit="window",
        low=1,
    )
    spacing_factor: float = option(
        1.0, "Voxels this many times larger than the model's: faster and coarser", title="Spacing factor", low=1, high=8
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name, rule, value in faults(self):
            msg = f"{name} {rule}, got {value!r}"
            raise JobError(msg)
        convert_numbers(self)


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """How to run a model, where, and what to do with the labels; None means what the model's manifest says."""

    roi_ras_mm: Bounds | None = option(
        None, "Segment only in this box", title="Region", unit="RAS mm", values="R-,R+,A-,A+,S-,S+", keyword="roi"
    )
    roi_voxels: VoxelBounds | None = option(
        None,
        "Segment only in this box along the volume's own axes",
        title="Region in voxels",
        unit="voxels of the input",
        values="i,i stop,j,j stop,k,k stop",
    )
    postprocess: PostprocessRule | None = option(
        None, "Clean the segments as the model says, or with values of your own", title="Clean-up"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing, and two regions."""
        super().__post_init__()
        box, voxels = self.roi_ras_mm, self.roi_voxels
        if box is not None and not all(low < high for low, high in zip(box[::2], box[1::2], strict=True)):
            msg = f"a ROI is R-,R+,A-,A+,S-,S+ in mm, lower before upper bound, got {box}"
            raise JobError(msg)
        if voxels is None:
            return
        if not all(0 <= low < stop for low, stop in zip(voxels[::2], voxels[1::2], strict=True)):
            msg = f"a ROI in voxels is the first and the stop along i, j and k, got {voxels}"
            raise JobError(msg)
        if box is not None:
            msg = f"a ROI is given in mm or in voxels, got {box} mm and {voxels}; leave one out"
            raise JobError(msg)


class OptionKeywords(TypedDict, total=False):
    """The options as keywords of Python; a test compares them with ``Options``, which says what each one means."""

    device: str
    overlap: float | None
    mirror: bool | None
    precision: Precision
    engine: EngineName
    window_batch: int
    spacing_factor: float
    roi: Bounds | None
    roi_voxels: VoxelBounds | None
    postprocess: PostprocessRule | None


def options_from(keywords: Mapping[str, Any]) -> Options:
    """Options from the keywords of a call; a list passes for a tuple.

    Raises:
        TypeError: for a keyword that is no option, as Python itself raises it.
        JobError: for a value that means nothing.
    """
    known = keywords_of(Options)
    if unknown := [name for name in keywords if name not in known]:
        msg = f"{unknown[0]!r} is no option; the options are {', '.join(known)}"
        raise TypeError(msg)
    values: dict[str, Any] = {known[name].field: value for name, value in keywords.items()}
    for name in ("roi_ras_mm", "roi_voxels"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    return Options(**values)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One case: files in, files out."""

    inputs: tuple[str, ...]  # one file or DICOM folder per channel
    model: str  # bundle id
    output: str
    options: Options = Options()
    probabilities: str | None = None
    preview: str | None = None
    overwrite: bool = False
    frame: int | None = None  # which time point of a 4-D input
    modality: str = ""  # of inputs whose files do not say it, as DICOM names it
    measures: str | None = None  # .csv, .json, or .dcm beside a DICOM SEG
    model_folder: str | None = None  # of the bundle, where who asks has found it; None: it is searched for by its id
