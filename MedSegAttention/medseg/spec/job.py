"""One request: every option a user has, in one place; the panel, the flags and the console are views of it."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from medseg.spec.errors import JobError
from medseg.spec.manifest import PostprocessRule

Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
EngineName: TypeAlias = Literal["auto", "torch", "openvino"]  # what runs the network; auto: the fastest that agrees


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run a model; None means what the model's manifest says."""

    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps
    overlap: float | None = None  # 0..0.9
    mirror: bool | None = None
    window_batch: int = 1
    precision: Precision = "float32"
    roi_ras_mm: tuple[float, float, float, float, float, float] | None = None  # R-, R+, A-, A+, S-, S+
    roi_voxels: tuple[int, int, int, int, int, int] | None = None  # of the input: i, i stop, j, j stop, k, k stop
    postprocess: PostprocessRule | None = None
    spacing_factor: float = 1.0  # voxels this many times larger than the model's: a quick preview
    engine: EngineName = "auto"

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.overlap is not None and not 0 <= self.overlap <= 0.9:
            msg = f"overlap must lie in 0..0.9, got {self.overlap}"
            raise JobError(msg)
        for name, value, known in (("precision", self.precision, Precision), ("engine", self.engine, EngineName)):
            if value not in get_args(known):
                msg = f"{name} is one of {', '.join(get_args(known))}, got {value!r}"
                raise JobError(msg)
        if not 1 <= self.spacing_factor <= 8:
            msg = f"voxels can be made 1 to 8 times coarser, got {self.spacing_factor}"
            raise JobError(msg)
        if self.window_batch < 1:
            msg = f"a batch holds at least 1 window, got {self.window_batch}"
            raise JobError(msg)
        if self.roi_ras_mm is not None:
            for low, high in zip(self.roi_ras_mm[::2], self.roi_ras_mm[1::2], strict=True):
                if not low < high:
                    msg = f"a ROI is R-,R+,A-,A+,S-,S+ in mm, lower before upper bound, got {self.roi_ras_mm}"
                    raise JobError(msg)
        self._check_voxels()

    def _check_voxels(self) -> None:
        """Refuse a box of voxels that holds none, or that comes beside another region."""
        if self.roi_voxels is None:
            return
        if not all(0 <= low < stop for low, stop in zip(self.roi_voxels[::2], self.roi_voxels[1::2], strict=True)):
            msg = f"a ROI in voxels is the first and the stop along i, j and k, got {self.roi_voxels}"
            raise JobError(msg)
        if self.roi_ras_mm is not None:
            msg = f"a ROI is given in mm or in voxels, got {self.roi_ras_mm} mm and {self.roi_voxels}; leave one out"
            raise JobError(msg)


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
