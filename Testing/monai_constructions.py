"""Small bundles of MONAI's, each with constructions that real ones have, which MONAI itself can run."""

import json

import nibabel
import numpy as np
import torch
from monai.bundle import ConfigParser

TURNED = np.array([[0, 0, 1.4, -30], [-2.1, 0, 0, 12], [0, 0.9, 0, 7], [0, 0, 0, 1]])  # i to P, j to S, k to R
_C, _S = np.cos(0.2), np.sin(0.2)
OBLIQUE = np.array([[-_C, 0, _S, 40], [0, -1, 0, 31], [_S, 0, _C, -9], [0, 0, 0, 1]]) @ np.diag([1.3, 1.1, 2.6, 1])


def step(name, keys="image", **arguments):
    return {"_target_": name, "keys": keys, **arguments}


LOAD = [step("LoadImaged"), step("EnsureChannelFirstd")]
SOFTMAX, ARGMAX = step("Activationsd", "pred", softmax=True), step("AsDiscreted", "pred", argmax=True)


def invert(*, nearest):
    return step("Invertd", "pred", transform="@preprocessing", orig_keys="image", nearest_interp=nearest)


AFTERWARDS = [SOFTMAX, invert(nearest=False), ARGMAX]
SEGRESNET = {"_target_": "SegResNet", "init_filters": 8, "in_channels": 1, "out_channels": 4, "blocks_down": [1, 1],
             "blocks_up": [1]}  # fmt: skip
SLIDING = {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 2, "overlap": 0.5}


def config(*steps, after=AFTERWARDS, **others):
    """A configuration as MONAI runs it: each image of ``dataset_dir``, its labels in ``output_dir``."""
    return {
        "imports": ["$import glob", "$import torch"],
        "bundle_root": ".",
        "dataset_dir": ".",
        "output_dir": ".",
        "network_def": SEGRESNET,
        "network": "$@network_def.eval()",
        "preprocessing": {"_target_": "Compose", "transforms": [*LOAD, *steps]},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': name} for name in sorted(glob.glob(@dataset_dir + '/*.nii.gz'))]",
            "transform": "@preprocessing",
        },
        "inferer": SLIDING,
        "postprocessing": {"_target_": "Compose", "transforms": after},
        "saver": {
            "_target_": "SaveImage",
            "output_dir": "@output_dir",
            "output_postfix": "seg",
            "separate_folder": False,
            "resample": False,
        },
        "segment": "$lambda case, net=@network, inferer=@inferer, finish=@postprocessing, save=@saver: "
        "save(finish({**case, 'pred': inferer(case['image'][None], net)[0]})['pred'])",
        "checkpoint": {"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/' + @file"},
        "file": "weights.pt",
        "run": [
            "$torch.set_grad_enabled(False)",
            "$@network.load_state_dict(torch.load(@bundle_root + '/models/weights.pt'))",
            "$list(map(@segment, @dataset))",
        ],
        **others,
    }


def write(folder, content, *, labels=4, channels=1, definition="channel_def", named=1, **files):
    """Write a bundle whose network has random weights, none of whose labels wins everywhere."""
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True)
    for name, values in files.items():
        torch.save(values, folder / "models" / f"{name}.pt")
    (folder / "configs" / "inference.json").write_text(json.dumps(content), encoding="utf-8")
    names = {str(n): "background" if n == 0 else f"part {n}" for n in range(labels)}
    stated = {
        "version": "1.0.0",
        "name": folder.name,
        "network_data_format": {
            "inputs": {
                "image": {
                    "modality": "CT",
                    "num_channels": channels,
                    "channel_def": {str(n): f"image {n}" for n in range(named)},
                }
            },
            "outputs": {"pred": {"num_channels": labels, definition: names}},
        },
    }
    (folder / "configs" / "metadata.json").write_text(json.dumps(stated), encoding="utf-8")
    parser = ConfigParser({**content, "bundle_root": str(folder)})
    torch.manual_seed(0)
    network = parser.get_parsed_content("network_def").eval()
    torch.save(undecided(network).state_dict(), folder / "models" / "weights.pt")
    return folder


def undecided(network):
    """Give a network's last convolution weights with which no label wins everywhere."""
    last = [part for part in network.modules() if isinstance(part, torch.nn.Conv2d | torch.nn.Conv3d)][-1]
    with torch.no_grad():
        last.weight -= last.weight.mean(dim=tuple(range(1, last.weight.ndim)), keepdim=True)
        last.weight *= 4
        last.bias.zero_()
    return network


def case(folder, name, shape, affine, seed=0):
    """Write an image: smooth structure on a ground of 0, in Hounsfield units."""
    noise = np.random.default_rng(seed).normal(size=shape)
    for axis in range(3):
        noise = (noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)) / 3
    values = np.zeros(shape, dtype=np.float32)
    inner = tuple(slice(2, -3) for _ in range(3)) if min(shape) > 6 else (slice(2, -3), slice(2, -3), slice(None))
    values[inner] = (120 * noise * 6 + 60)[inner]
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path
