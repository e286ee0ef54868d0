"""configs/inference.json: the same model in MONAI's config language, for ``python -m monai.bundle run``.

What MONAI has no word for is called by name: the weights' reader, mirroring, slices, the crop to the body,
postprocessing.
Two things differ a little from medseg: MONAI does not spread its windows evenly, and its ``Spacingd`` keeps the first
voxel's centre and does not blur before it shrinks.
"""

from dataclasses import asdict
from typing import Any

from medseg.spec.manifest import IntensityRule, ModelManifest, PostprocessRule

_FILES = "*.nii.gz"
_FIRST_CHANNEL = "_0000.nii.gz"


def inference_config(manifest: ModelManifest) -> dict[str, Any]:
    """Write a manifest as a MONAI inference config.

    One-channel models take every ``*.nii.gz`` in ``dataset_dir``; others the files ``<case>_0000.nii.gz``,
    ``<case>_0001.nii.gz``, ... in the order of the manifest's channels, on one grid.

    Returns:
        JSON values. ``bundle_root``, ``dataset_dir``, ``output_dir`` and ``device`` are meant to be overridden.
    """
    return {
        "imports": [
            "$import glob",
            "$import numpy",
            "$import torch",
            "$from medseg.bundles.monai_steps import body_mask",
            "$from medseg.bundles.weights import load_weights",
            "$from medseg.inference.mirroring import mirrored",
            *_slice_imports(manifest),
        ],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "datalist": _datalist(len(manifest.channels)),
        "network_def": {"_target_": _builder(manifest.network), "name": manifest.network, **manifest.arguments},
        "network": "$load_weights(@network_def, @bundle_root + '/models/model.safetensors').to(@device)",
        "predictor": f"$mirrored({_network(manifest)}, {list(manifest.mirror_axes)})",
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


def _slice_imports(manifest: ModelManifest) -> list[str]:
    if manifest.slices is None:
        return []
    return [
        "$from medseg.bundles.monai_steps import with_neighbours",
        "$from medseg.inference.slicewise import slicewise",
        "$from medseg.spec.manifest import SliceRule",
    ]


def _network(manifest: ModelManifest) -> str:
    """Show windows one slice thick to a 2D network; their neighbours are channels already."""
    return "@network" if manifest.slices is None else f"slicewise(@network, SliceRule(axis={manifest.slices.axis}))"


def _windowed(manifest: ModelManifest) -> str:
    """What the windows are cut out of."""
    rule = manifest.slices
    volume = "case['image'][None]"
    return volume if rule is None else f"with_neighbours({volume}, axis={rule.axis}, context={rule.context})"


def _builder(network: str) -> str:
    """Who builds it; ours keep the short way, which older installations know too."""
    return "medseg.bundles.build.build_any" if network.startswith("monai:") else "medseg.networks.build_network"


def _datalist(channel_count: int) -> str:
    if channel_count == 1:
        return f"$[{{'image': name}} for name in sorted(glob.glob(@dataset_dir + '/{_FILES}'))]"
    channels = ", ".join(f"name[:-{len(_FIRST_CHANNEL)}] + '_{n:04d}.nii.gz'" for n in range(channel_count))
    return f"$[{{'image': [{channels}]}} for name in sorted(glob.glob(@dataset_dir + '/*{_FIRST_CHANNEL}'))]"


def _preprocessing(manifest: ModelManifest) -> list[dict[str, Any]]:
    rule = manifest.slices
    steps: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "keys": "image", "image_only": True},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {"_target_": "EnsureTyped", "keys": "image", "dtype": "$torch.float32"},
        {"_target_": "Orientationd", "keys": "image", "axcodes": manifest.orientation, "labels": None},
    ]
    if manifest.crop_to_body:
        mask = "$body_mask"
        steps.append({"_target_": "CropForegroundd", "keys": "image", "source_key": "image", "select_fn": mask})
    if manifest.spacing_mm is not None:
        pixdim = list(manifest.spacing_mm)
        if rule is not None and rule.fit == "resize":
            pixdim = [mm if axis == rule.axis else -1.0 for axis, mm in enumerate(pixdim)]  # -1: as it is
        steps.append({"_target_": "Spacingd", "keys": "image", "pixdim": pixdim, "mode": "bilinear"})
    if rule is not None and rule.fit == "resize":
        size = [-1 if axis == rule.axis else voxels for axis, voxels in enumerate(manifest.window_shape)]
        steps.append({"_target_": "Resized", "keys": "image", "spatial_size": size, "mode": "trilinear"})
    return steps + _intensity(manifest.intensity)


def _intensity(rule: IntensityRule) -> list[dict[str, Any]]:
    if rule.kind == "zscore":
        return [
            {
                "_target_": "NormalizeIntensityd",
                "keys": "image",
                "nonzero": rule.nonzero_only,
                "channel_wise": True,
            }
        ]
    if rule.kind == "percentile":
        return [
            {
                "_target_": "ScaleIntensityRangePercentilesd",
                "keys": "image",
                "lower": rule.lower,
                "upper": rule.upper,
                "b_min": 0.0,
                "b_max": 1.0,
                "clip": True,
                "channel_wise": True,
            }
        ]
    if rule.lower is None or rule.upper is None:  # kind "none"
        return []
    mean, std = rule.mean or 0.0, rule.std or 1.0
    unit = rule.kind == "clip_unit"
    return [
        {
            "_target_": "ScaleIntensityRanged",
            "keys": "image",
            "a_min": rule.lower,
            "a_max": rule.upper,
            "b_min": 0.0 if unit else (rule.lower - mean) / std,
            "b_max": 1.0 if unit else (rule.upper - mean) / std,
            "clip": True,
        }
    ]


def _postprocessing(manifest: ModelManifest) -> list[dict[str, Any]]:
    dtype = "$numpy.uint8" if manifest.label_count <= 256 else "$numpy.uint16"
    steps: list[dict[str, Any]] = [
        {"_target_": "Activationsd", "keys": "pred", "softmax": True},
        {
            "_target_": "Invertd",
            "keys": "pred",
            "transform": "@preprocessing",
            "orig_keys": "image",
            "nearest_interp": False,
            "to_tensor": True,
        },
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
    ]
    if manifest.postprocess != PostprocessRule():
        func = {"_target_": "medseg.bundles.monai_steps.postprocessor", **asdict(manifest.postprocess)}
        steps.append({"_target_": "Lambdad", "keys": "pred", "func": func})
    return [
        *steps,
        {
            "_target_": "SaveImaged",
            "keys": "pred",
            "output_dir": "@output_dir",
            "output_postfix": "seg",
            "output_dtype": dtype,
            "resample": False,
            "separate_folder": False,
        },
    ]
