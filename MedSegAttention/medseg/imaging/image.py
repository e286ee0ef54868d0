"""An image: an array and where it lies in the patient."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, int, int]  # voxels along i, j, k
Spacing: TypeAlias = tuple[float, float, float]  # mm between voxel centres along i, j, k
Affine: TypeAlias = NDArray[np.float64]  # 4x4, voxel (i, j, k, 1) -> RAS millimetres
SizeUnit: TypeAlias = Literal["ml", "cm2", "voxels"]
"""What the size of a segment is given in."""


@dataclass(frozen=True, eq=False)
class Image:
    """A volume of one or more channels on one grid.

    Args:
        array: ``(C, I, J, K)``, any real dtype. Array axis n, affine column n and spacing n are the same thing.
        affine: ``(4, 4)``, maps voxel centres ``(i, j, k, 1)`` to RAS millimetres.
        spacing_known: whether these are millimetres; False where nobody knows them and 1 stands for them.
        modality: of DICOM, e.g. "CT"; "" where nobody said.

    Raises:
        ValueError: if the shapes are not those, or the affine is not finite and invertible.
    """

    array: NDArray[Any]
    affine: Affine = field(default_factory=lambda: np.eye(4))
    spacing_known: bool = True
    modality: str = ""

    def __post_init__(self) -> None:
        """Refuse what is not a volume."""
        if self.array.ndim != 4:
            msg = f"an image array is (C, I, J, K), got shape {self.array.shape}"
            raise ValueError(msg)
        affine = np.asarray(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.linalg.det(affine[:3, :3]) == 0:
            msg = f"an affine is a finite, invertible 4x4 matrix, got {affine.tolist()}"
            raise ValueError(msg)
        object.__setattr__(self, "affine", affine)

    @property
    def channel_count(self) -> int:
        """Number of channels, C."""
        return int(self.array.shape[0])

    @property
    def shape(self) -> Shape:
        """Voxels along i, j, k."""
        _, i, j, k = self.array.shape
        return int(i), int(j), int(k)

    @property
    def spacing(self) -> Spacing:
        """Millimetres between voxel centres along i, j, k."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in cubic millimetres."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def volume_ml(self, voxels: float) -> float:
        """Volume of so many voxels in millilitres."""
        return float(voxels) * self.voxel_volume_mm3 / 1000

    @property
    def flat_axis(self) -> int | None:
        """The axis along which there is one voxel alone, the last where there are several; None for a volume."""
        return max((axis for axis, size in enumerate(self.shape) if size == 1), default=None)

    def area_cm2(self, voxels: float) -> float:
        """Area of so many voxels of a single slice in square centimetres.

        Raises:
            ValueError: for a volume, whose voxels have no area.
        """
        if self.flat_axis is None:
            msg = f"an area is that of a single slice, got a volume of {self.shape} voxels"
            raise ValueError(msg)
        first, second = np.delete(self.affine[:3, :3], self.flat_axis, axis=1).T
        return float(voxels) * float(np.linalg.norm(np.cross(first, second))) / 100

    @property
    def size_unit(self) -> SizeUnit:
        """What sizes are given in: of a volume ml, of a single slice cm2, and voxels where no length is known.

        A slice of a CT or MR has an area too, although its thickness may be known: a volume would be that of a slab,
        never that of the organ, and in most files of one slice the thickness is a 1 that nobody measured.
        """
        if not self.spacing_known:
            return "voxels"
        return "ml" if self.flat_axis is None else "cm2"

    def size(self, voxels: float) -> float:
        """How large so many voxels are, in ``size_unit``."""
        if self.size_unit == "voxels":
            return float(voxels)
        return self.volume_ml(voxels) if self.size_unit == "ml" else self.area_cm2(voxels)
