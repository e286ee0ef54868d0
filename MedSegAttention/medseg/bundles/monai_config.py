"""configs/inference.json: the same model in MONAI's config language, for ``python -m monai.bundle run``.

What MONAI has no word for is called by name: the weights' reader, mirroring, slices, the crop to the body,
postprocessing.
Two things differ a little from medseg: MONAI does not spread its windows evenly, and its ``Spacingd`` keeps the first
voxel's centre and does not blur before it shrinks.
"""

from dataclasses import asdict
from typing import Any

from medseg.spec.manifest import FOLDED, IntensityRule, ModelManifest
from medseg.spec.postprocess import PostprocessRule

_FILES = "*.nii.gz"
_FIRST_CHANNEL = "_0000.nii.gz"
_SLICE_IMPORTS = (
    "$from medseg.bundles.monai_steps import with_neighbours",
    "$from medseg.inference.slicewise import slicewise",
    "$from medseg.spec.manifest import SliceRule",
)


def inference_config(manifest: ModelManifest) -> dict[str, Any]:
    """Write a manifest as a MONAI inference config.

    One-channel models take every ``*.nii.gz`` in ``dataset_dir``; others the files ``<case>_0000.nii.gz``,
    ``<case>_0001.nii.gz``, ... in the order of the manifest's channels, on one grid.

    Returns:
        JSON values. ``bundle_root``, ``dataset_dir``, ``output_dir`` and ``device`` are meant to be overridden. MONAI
        has no steps like nnU-Net's and none for stages, and an imported bundle's are in its own configuration: such
        models are run by medseg as a whole.
    """
    if manifest.nnunet is not None or manifest.monai is not None or manifest.composition is not None:
        return _whole_run()
    return {
        "imports": [
            "$import glob",
            "$import numpy",
            "$import torch",
            "$from medseg.bundles.monai_steps import body_mask",
            "$from medseg.bundles.weights import load_weights",
            "$from medseg.inference.mirroring import mirrored",
            *(_SLICE_IMPORTS if manifest.slices is not None else ()),
        ],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "datalist": _datalist(len(manifest.channels)),
        "network_def": {"_target_": _builder(manifest), "name": manifest.network, **manifest.arguments},
        "network": "$load_weights(@network_def, @bundle_root + '/models/model.safetensors').to(@device)",
        "predictor": f"$mirrored({', '.join(_mirroring(manifest))})",
        "preprocessing": {"_target_": "Compose", "transforms": _preprocessing(manifest)},
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(manifest.window_shape),
            "sw_batch_size": 1,
            "overlap": manifest.overlap,
            "mode": "gaussian",
            "sigma_scale": 0.125,
            "padding_mode": "constant",
        },
        "postprocessing": {"_target_": "Compose", "transforms": _postprocessing(manifest)},
        "segment": "$lambda case, device=@device, inferer=@inferer, predictor=@predictor, finish=@postprocessing: "
        f"finish({{**case, 'pred': inferer({_windowed(manifest)}.to(device), predictor)[0].cpu()}})",
        "run": ["$list(map(@segment, @dataset))"],
    }


def _whole_run() -> dict[str, Any]:
    """Every file of a folder through medseg itself."""
    return {
        "imports": ["$import glob", "$import os", "$from medseg import segment"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "auto",
        "segment": "$lambda name, root=@bundle_root, folder=@output_dir, device=@device: segment(name, "
        "model=os.path.abspath(root), device=device, "
        f"output=os.path.join(folder, os.path.basename(name)[:-{len('.nii.gz')}] + '_seg.nii.gz'))",
        "run": [
            "$os.makedirs(@output_dir, exist_ok=True)",
            f"$list(map(@segment, sorted(glob.glob(@dataset_dir + '/{_FILES}'))))",
        ],
    }


def _mirroring(manifest: ModelManifest) -> list[str]:
    exchange = manifest.side_exchange if manifest.mirror_axes else None
    return [_network(manifest), str(list(manifest.mirror_axes)), *([] if exchange is None else [repr(exchange)])]


def _network(manifest: ModelManifest) -> str:
    """Show windows one slice thick to a 2D network; their neighbours are channels already."""
    return "@network" if manifest.slices is None else f"slicewise(@network, SliceRule(axis={manifest.slices.axis}))"


def _windowed(manifest: ModelManifest) -> str:
    """What the windows are cut out of."""
    rule = manifest.slices
    volume = "case['image'][None]"
    return volume if rule is None else f"with_neighbours({volume}, axis={rule.axis}, context={rule.context})"


def _builder(manifest: ModelManifest) -> str:
    """Who builds it; ours keep the short way, which older installations know too."""
    any_ = manifest.network.startswith("monai:") or FOLDED in manifest.arguments
    return "medseg.bundles.build.build_any" if any_ else "medseg.networks.build_network"


def _datalist(channel_count: int) -> str:
    if channel_count == 1:
        return f"$[{{'image': name}} for name in sorted(glob.glob(@dataset_dir + '/{_FILES}'))]"
    channels = ", ".join(f"name[:-{len(_FIRST_CHANNEL)}] + '_{n:04d}.nii.gz'" for n in range(channel_count))
    return f"$[{{'image': [{channels}]}} for name in sorted(glob.glob(@dataset_dir + '/*{_FIRST_CHANNEL}'))]"


def _step(target: str, keys: str = "image", **arguments: Any) -> dict[str, Any]:
    """One of MONAI's dictionary transforms."""
    return {"_target_": target, "keys": keys, **arguments}


def _preprocessing(manifest: ModelManifest) -> list[dict[str, Any]]:
    rule = manifest.slices
    resized = rule if rule is not None and rule.fit == "resize" else None
    steps = [
        _step("LoadImaged", image_only=True),
        _step("EnsureChannelFirstd"),
        _step("EnsureTyped", dtype="$torch.float32"),
        _step("Orientationd", axcodes=manifest.orientation, labels=None),
    ]
    if manifest.crop_to_body:
        steps.append(_step("CropForegroundd", source_key="image", select_fn="$body_mask"))
    if manifest.spacing_mm is not None:
        pixdim = list(manifest.spacing_mm)
        if resized is not None:
            pixdim = [mm if axis == resized.axis else -1.0 for axis, mm in enumerate(pixdim)]  # -1: as it is
        steps.append(_step("Spacingd", pixdim=pixdim, mode="bilinear"))
    if resized is not None:
        size = [-1 if axis == resized.axis else voxels for axis, voxels in enumerate(manifest.window_shape)]
        steps.append(_step("Resized", spatial_size=size, mode="trilinear"))
    return steps + _intensity(manifest.intensity)


def _intensity(rule: IntensityRule) -> list[dict[str, Any]]:
    unit: dict[str, Any] = {"b_min": 0.0, "b_max": 1.0, "clip": True}
    if rule.kind == "zscore":
        return [_step("NormalizeIntensityd", nonzero=rule.nonzero_only, channel_wise=True)]
    if rule.lower is None or rule.upper is None:  # kind "none"
        return []
    if rule.kind == "percentile":
        limits: dict[str, Any] = {"lower": rule.lower, "upper": rule.upper}
        return [_step("ScaleIntensityRangePercentilesd", **limits, **unit, channel_wise=True)]
    if rule.kind == "clip_zscore":
        mean, std = rule.mean or 0.0, rule.std or 1.0
        unit |= {"b_min": (rule.lower - mean) / std, "b_max": (rule.upper - mean) / std}
    return [_step("ScaleIntensityRanged", a_min=rule.lower, a_max=rule.upper, **unit)]


def _postprocessing(manifest: ModelManifest) -> list[dict[str, Any]]:
    dtype = "$numpy.uint8" if manifest.label_count <= 256 else "$numpy.uint16"
    back = {"transform": "@preprocessing", "orig_keys": "image", "nearest_interp": False, "to_tensor": True}
    file = {"output_dir": "@output_dir", "output_postfix": "seg", "output_dtype": dtype}
    clean_up = {"_target_": "medseg.bundles.monai_steps.postprocessor", **asdict(manifest.postprocess)}
    rule = manifest.overlapping
    decide = [_step("AsDiscreted", "pred", argmax=True)]
    if rule is not None:
        paint = {"values": [label.value for label in manifest.labels], "order": list(rule.order)}
        painter = {"_target_": "medseg.bundles.monai_steps.painter", **paint}
        decide = [_step("AsDiscreted", "pred", threshold=rule.threshold), _step("Lambdad", "pred", func=painter)]
    return [
        _step("Activationsd", "pred", **({"softmax": True} if rule is None else {"sigmoid": True})),
        _step("Invertd", "pred", **back),
        *decide,
        *([_step("Lambdad", "pred", func=clean_up)] if manifest.postprocess != PostprocessRule() else []),
        _step("SaveImaged", "pred", **file, resample=False, separate_folder=False),
    ]
