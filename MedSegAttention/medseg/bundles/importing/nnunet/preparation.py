"""What nnU-Net's plans say of images, their axes, spacing and normalisation, and dataset.json of labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from medseg.spec.errors import ManifestError
from medseg.spec.manifest import ChannelSpec, OverlapRule
from medseg.spec.nnunet import NnunetChannel, NnunetRule

_SCHEMES = {
    "ZScoreNormalization": "zscore",
    "CTNormalization": "ct",
    "NoNormalization": "none",
    "RescaleTo01Normalization": "unit",
    "RGBTo01Normalization": "rgb",
}
_READERS = {
    "SimpleITKIO": False,
    "NibabelIO": False,
    "SimpleITKIOWithReorient": True,
    "NibabelIOWithReorient": True,
}
_RESAMPLING = "resample_data_or_seg_to_shape"
_USUAL = {
    "resampling_fn_data": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
    "resampling_fn_probabilities": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
}
_USUAL_OF_LABELS = {
    "resampling_fn_seg": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
}
_LABEL_MANAGER = "LabelManager"
_PREPROCESSORS = ("DefaultPreprocessor", None)
_MORE_THAN_HALF = 0.5000000596046448  # the next number of single precision after 0.5, which itself is not enough
_MODALITIES = {"ct": "CT", "pet": "PT", "pt": "PT", "us": "US"}


@dataclass(frozen=True)
class Outputs:
    """What a network's outputs stand for.

    Attributes:
        names: of the labels, in the order of the outputs, the background left out.
        count: outputs, the background included where there is one.
        foreground: labels of the data set beside the background, of which regions are made; shown to a next stage.
        values: of regions, which may overlap, in a labelmap; None: 1, 2, ... of labels that do not.
    """

    names: tuple[str, ...]
    count: int
    foreground: int
    values: tuple[int, ...] | None = None

    @property
    def overlapping(self) -> OverlapRule | None:
        """How regions become segments: painted in their own order, and more than 0.5 is needed for one."""
        return None if self.values is None else OverlapRule(threshold=_MORE_THAN_HALF, order=self.values)


def read_rule(plans: Mapping[str, Any], stated: Mapping[str, Any]) -> NnunetRule:
    """Read how images are prepared.

    Args:
        plans: the whole of plans.json.
        stated: the configuration.

    Raises:
        ManifestError: for a reader, a scheme or a resampling that is not known; nothing is put in its place.
    """
    reader = plans.get("image_reader_writer")  # nnU-Net's planner copies there what dataset.json asks for
    if reader not in _READERS:
        _refuse("image_reader_writer", f"one of {', '.join(_READERS)}", reader)
    if stated.get("preprocessor_name") not in _PREPROCESSORS:
        _refuse("preprocessor_name", "DefaultPreprocessor", stated.get("preprocessor_name"))
    if plans.get("label_manager", _LABEL_MANAGER) != _LABEL_MANAGER:
        _refuse("label_manager", _LABEL_MANAGER, plans["label_manager"])
    _check_resampling(stated, _USUAL)
    if stated.get("previous_stage"):
        _check_resampling(stated, _USUAL_OF_LABELS)  # those of the stage before
    forward = plans.get("transpose_forward", [0, 1, 2])
    spacing = list(stated.get("spacing", ()))
    if len(spacing) == 2:
        spacing.insert(0, 0.0)  # slices keep their distance
    if sorted(forward) != [0, 1, 2] or len(spacing) != 3:
        _refuse("transpose_forward and spacing", "an order of three axes and their spacing", [forward, spacing])
    i, j, k = (2 - int(axis) for axis in forward)  # nnU-Net's arrays are (z, y, x)
    a, b, c = (float(mm) for mm in spacing)
    return NnunetRule(
        reorients=_READERS[reader], axes=(i, j, k), spacing_mm=(a, b, c), channels=_channels(plans, stated)
    )


def read_channels(dataset: Mapping[str, Any]) -> tuple[ChannelSpec, ...]:
    """Names and modalities of the channels."""
    stated = dataset.get("channel_names") or dataset.get("modality")
    if not isinstance(stated, dict) or not stated:
        _refuse("dataset.json: channel_names", "the names of the channels", stated)
    names = [str(stated[key]) for key in sorted(stated, key=int)]
    made = []
    for number, name in enumerate(names):
        shown = name if names.count(name) == 1 else f"{name} {number}"
        made.append(ChannelSpec(name=shown, modality=_MODALITIES.get(name.lower(), "MR")))
    return tuple(made)


def read_outputs(dataset: Mapping[str, Any]) -> Outputs:
    """Name the outputs.

    Raises:
        ManifestError: when labels are not numbered 0, 1, 2, ..., or regions have not one value each.
    """
    stated = dataset.get("labels")
    if not isinstance(stated, dict):
        _refuse("dataset.json: labels", "names with their values", stated)
    if any(isinstance(value, list) and len(value) > 1 for value in stated.values()):
        return _regions(stated, dataset.get("regions_class_order"))
    values = {int(value[0] if isinstance(value, list) else value): str(name) for name, value in stated.items()}
    values = {value: name for value, name in values.items() if name != "ignore"}
    if sorted(values) != list(range(len(values))) or len(values) < 2:
        _refuse("dataset.json: labels", "the background 0 and labels 1, 2, ... without gaps", stated)
    return Outputs(tuple(values[value] for value in range(1, len(values))), len(values), len(values) - 1)


def _regions(stated: Mapping[str, Any], order: Any) -> Outputs:
    names = tuple(str(name) for name, value in stated.items() if name != "ignore" and value not in (0, [0]))
    values = order if isinstance(order, list) else []
    if len(values) != len(names) or not all(isinstance(value, int) and value > 0 for value in values):
        _refuse("dataset.json: regions_class_order", f"{len(names)} values from 1, one a region", order)
    if len(set(values)) != len(values):
        _refuse("dataset.json: regions_class_order", "values that differ: two regions of one are one segment", order)
    return Outputs(names, len(names), len(_foreground(stated)), tuple(values))


def _foreground(stated: Mapping[str, Any]) -> set[int]:
    """Every label of the data set that some region holds, the background and what is ignored left out."""
    held = [value if isinstance(value, list) else [value] for name, value in stated.items() if name != "ignore"]
    return {int(label) for labels in held for label in labels} - {0}


def _channels(plans: Mapping[str, Any], stated: Mapping[str, Any]) -> tuple[NnunetChannel, ...]:
    schemes, masks = stated.get("normalization_schemes"), stated.get("use_mask_for_norm")
    if not isinstance(schemes, list) or not isinstance(masks, list) or len(schemes) != len(masks) or not schemes:
        _refuse("normalization_schemes and use_mask_for_norm", "one of each a channel", [schemes, masks])
    statistics = plans.get("foreground_intensity_properties_per_channel")
    statistics = statistics or plans.get("foreground_intensity_properties_by_modality") or {}
    made = []
    for number, (scheme, masked) in enumerate(zip(schemes, masks, strict=True)):
        if scheme not in _SCHEMES:
            _refuse("normalization_schemes", f"schemes out of {', '.join(_SCHEMES)}", scheme)
        if _SCHEMES[scheme] != "ct":
            made.append(NnunetChannel(scheme=_SCHEMES[scheme], masked=bool(masked)))  # type: ignore[arg-type]
            continue
        try:
            numbers = statistics[str(number)]
            made.append(
                NnunetChannel(
                    scheme="ct",
                    lower=float(numbers["percentile_00_5"]),
                    upper=float(numbers["percentile_99_5"]),
                    mean=float(numbers["mean"]),
                    std=float(numbers["std"]),
                )
            )
        except (KeyError, TypeError, ValueError):
            _refuse("foreground_intensity_properties_per_channel", f"the numbers of channel {number}", statistics)
    return tuple(made)


def _check_resampling(stated: Mapping[str, Any], usually: Mapping[str, Mapping[str, Any]]) -> None:
    for name, usual in usually.items():
        function, given = stated.get(name, _RESAMPLING), stated.get(f"{name}_kwargs", usual)
        if function != _RESAMPLING or {**usual, **given} != usual:
            _refuse(name, f"{_RESAMPLING} with {usual}", f"{function} with {given}")


def _refuse(where: str, expected: str, found: Any) -> NoReturn:
    place = where if where.startswith("dataset.json") else f"plans.json: {where}"
    msg = f"{place}: expected {expected}, got {found!r}; this model is not imported"
    raise ManifestError(msg)
