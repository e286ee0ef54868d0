"""An image: an array and where it lies in the patient."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, int, int]  # voxels along i, j, k
Spacing: TypeAlias = tuple[float, float, float]  # mm between voxel centres along i, j, k
Affine: TypeAlias = NDArray[np.float64]  # 4x4, voxel (i, j, k, 1) -> RAS millimetres


@dataclass(frozen=True, eq=False)
class Image:
    """A volume of one or more channels on one grid.

    Args:
        array: ``(C, I, J, K)``, any real dtype. Array axis n, affine column n and spacing n are the same thing.
        affine: ``(4, 4)``, maps voxel centres ``(i, j, k, 1)`` to RAS millimetres.

    Raises:
        ValueError: if the shapes are not those, or the affine is not finite and invertible.
    """

    array: NDArray[Any]
    affine: Affine = field(default_factory=lambda: np.eye(4))

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
