"""What the plans that lie beside an nnU-Net v1 checkpoint say about its images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.bundles.importing.checkpoint import read_content
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import ChannelSpec, IntensityRule, IntTriple, Triple

# nnU-Net's arrays are ITK's, slowest axis first, of an image whose i, j, k grow to L, P, S; it turns none
_ORIENTATION = "SPL"
_CT = "CT"


@dataclass(frozen=True)
class Plans:
    """Fields of a manifest, in the axis order of nnU-Net's arrays."""

    spacing_mm: Triple
    window_shape: IntTriple
    channels: tuple[ChannelSpec, ...]
    intensity: IntensityRule
    orientation: str


def read_plans(checkpoint: Path) -> Plans | None:
    """Read the plans in ``<checkpoint>.pkl``; None where there is no such file.

    Nothing in the file is run; see ``read_plain_pickle``.

    Raises:
        WeightsError: when the file names code or is damaged.
        ManifestError: when it holds no plans, or a normalisation that no ``IntensityRule`` describes.
    """
    path = checkpoint.with_name(f"{checkpoint.name}.pkl")
    if not path.is_file():
        return None
    content = read_content(path)
    try:
        plans = content.get("plans", content)
        stages = plans["plans_per_stage"]
        stage = stages[max(stages)]
        order = [int(axis) for axis in plans.get("transpose_forward", (0, 1, 2))]
        spacing, window = ([stage[name][axis] for axis in range(3)] for name in ("current_spacing", "patch_size"))
        return Plans(
            spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
            window_shape=(int(window[0]), int(window[1]), int(window[2])),
            channels=tuple(_channel(plans, n) for n in sorted(plans["modalities"])),
            intensity=_intensity(plans),
            orientation="".join(_ORIENTATION[axis] for axis in order),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        msg = f"{path} holds no nnU-Net v1 plans ({type(error).__name__}: {error}); move it away to import without it"
        raise ManifestError(msg) from error


def _channel(plans: Mapping[str, Any], number: int) -> ChannelSpec:
    name = str(plans["modalities"][number])
    modality = _CT if name.upper() == _CT else "MR"
    alone = len(plans["modalities"]) == 1
    return ChannelSpec(name=name if alone else f"{name} {number}", modality=modality)


def _intensity(plans: Mapping[str, Any]) -> IntensityRule:
    schemes = {str(plans["normalization_schemes"][n]) for n in plans["modalities"]}
    if schemes == {"nonCT"}:
        masked = {bool(plans.get("use_mask_for_norm", {}).get(n, False)) for n in plans["modalities"]}
        return IntensityRule(kind="zscore", nonzero_only=masked == {True})
    statistics = plans["dataset_properties"]["intensityproperties"]
    if schemes != {_CT} or len(statistics) != 1:
        msg = f"normalisation {', '.join(sorted(schemes))} of {len(statistics)} channel(s) has no single rule"
        raise ValueError(msg)
    of_ct = statistics[min(statistics)]
    return IntensityRule(
        kind="clip_zscore",
        lower=float(of_ct["percentile_00_5"]),
        upper=float(of_ct["percentile_99_5"]),
        mean=float(of_ct["mean"]),
        std=float(of_ct["sd"]),
    )
