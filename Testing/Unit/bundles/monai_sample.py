"""A bundle of MONAI's, written to disk as MONAI's own tools would: configuration, metadata, weights of torch.save."""

import json

import torch
from monai.networks.nets import SegResNet

NETWORK = {"spatial_dims": 3, "init_filters": 8, "in_channels": 1, "out_channels": 3, "dropout_prob": 0.2}
METADATA = {
    "version": "0.3.1",
    "changelog": {"0.3.1": "first"},
    "monai_version": "1.4.0",
    "pytorch_version": "2.6.0",
    "numpy_version": "1.26.4",
    "name": "Two organs",
    "task": "Abdominal organs",
    "description": "Organs in CT",
    "authors": "Somebody",
    "copyright": "Apache-2.0",
    "data_source": "Nowhere",
    "intended_use": "Research",
    "references": ["A paper"],
    "network_data_format": {
        "inputs": {
            "image": {
                "type": "image",
                "modality": "CT",
                "num_channels": 1,
                "spatial_shape": [16, 16, 16],
                "channel_def": {"0": "abdomen"},
            }
        },
        "outputs": {
            "pred": {"num_channels": 3, "channel_def": {"0": "background", "1": "spleen", "2": "left kidney"}},
        },
    },
}
CONFIG = {
    "imports": ["$import glob"],
    "bundle_root": ".",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "image_key": "image",
    "roi": [16, 16, 16],
    "spacing": "$[1.5, 1.5, 2.0]",
    "network_def": {"_target_": "SegResNet", **NETWORK, "out_channels": "@labels::count"},
    "labels": {"count": 3},
    "network": "$@network_def.to(@device)",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "@image_key"},
            {"_target_": "EnsureChannelFirstd", "keys": "@image_key"},
            {"_target_": "Orientationd", "keys": "@image_key", "axcodes": "LPS"},
            {"_target_": "Spacingd", "keys": "@image_key", "pixdim": "@spacing", "mode": "bilinear"},
            {
                "_target_": "ScaleIntensityRanged",
                "keys": "@image_key",
                "a_min": -57,
                "a_max": 164,
                "b_min": 0,
                "b_max": 1,
                "clip": True,
            },
            {"_target_": "EnsureTyped", "keys": "@image_key"},
        ],
    },
    "inferer": {
        "_target_": "SlidingWindowInferer",
        "roi_size": "$@roi",
        "sw_batch_size": 4,
        "overlap": 0.625,
        "mode": "gaussian",
    },
    "postprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        ],
    },
}


def network():
    torch.manual_seed(0)
    return SegResNet(**NETWORK).eval()


def write_sample(folder, *, config=CONFIG, metadata=METADATA, config_name="inference.json", weights=None):
    """Write the bundle's folder; ``config`` is text where it is not JSON."""
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir(parents=True)
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "configs" / config_name).write_text(text, encoding="utf-8")
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    torch.save(network().state_dict() if weights is None else weights, folder / "models" / "model.pt")
    (folder / "LICENSE").write_text("Apache License\n", encoding="utf-8")
    return folder
