"""Part: the same nnU-Net model over the same volume, by nnU-Net's own predictor and by ours, file to file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medseg.io.read import read_labels
from medseg.kernels.engines.compiled_cache import ENVIRONMENT_NAME
from performance.child import ChildFailed, in_child
from performance.phantom import LOWER, MEAN, STD, UPPER, write_scan
from performance.rows import Bar, Part, Row, Table, times_as_fast
from performance.setting import Setting
from performance.telling import tell

MODEL, CHECKPOINT = "nnunet-model", "checkpoint_final.pth"
SPACING = (1.5, 1.25, 1.25)  # mm of the plan, z first; the phantom has 0.8 x 0.8 x 1.5
LEAST_OPENVINO, LEAST_TORCH, MOST_MEMORY = 2.0, 1.3, 0.25
NOTE = (
    "One run each, file to file, one thread, without mirroring. The model is a 3d_fullres plan as nnU-Net writes it "
    "(PlainConvUNet, {features} features, windows of {patch} voxels, {labels} labels, spacing {spacing} mm) with "
    "random weights; ours was imported by `medseg models import`. nnU-Net is its `nnUNetPredictor`, in one process. "
    '"other labels" are voxels of a million with another label than nnU-Net\'s; random weights have many near ties.'
)
METHODS = ("ours, torch", "ours, auto")


def measure(setting: Setting) -> Part:
    """nnU-Net first, then ours with and without OpenVINO, each in a process of its own."""
    case = setting.nnunet
    scan = setting.folder / f"{'x'.join(map(str, case.shape))}.nii.gz"
    if not scan.exists():
        write_scan(scan, case.shape)
    models, source = setting.folder / "models", setting.folder / "nnunet" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    environment = {"MEDSEG_MODELS": str(models), ENVIRONMENT_NAME: str(setting.folder / MODEL)}
    answers: dict[str, dict[str, Any]] = {}
    outputs: dict[str, Path] = {}
    notes = []
    asked: dict[str, Any] = {"folder": str(source), "labels": case.labels, "patch": case.patch}
    try:
        in_child(
            "performance.nnunet_models:write_models",
            threads=1,
            environment=environment,
            **asked,
            features=list(case.features),
            output=str(models / MODEL),
        )
        in_child("performance.volumes:compile_model", threads=1, environment=environment, model=MODEL)
    except ChildFailed as failed:
        return Part("nnunet", notes=(f"not measured: {failed}",))
    for method in ("nnU-Net", *METHODS):
        output = setting.folder / f"nnunet-{method.replace(', ', '-')}.nii.gz"
        output.unlink(missing_ok=True)
        try:
            if method == "nnU-Net":
                answers[method] = in_child(
                    "performance.nnunet_models:theirs",
                    threads=1,
                    folder=str(source),
                    scan=str(scan),
                    output=str(output),
                )
            else:
                arguments = {"method": method, "model": MODEL, "scan": str(scan), "output": str(output)}
                answers[method] = in_child("performance.peers:volume", threads=1, environment=environment, **arguments)
        except ChildFailed as failed:
            notes.append(f"{method}: not measured, {failed}")
            tell(f"  {notes[-1]}")
            continue
        outputs[method] = output
        tell(f"  {method}: {answers[method]['wall']['total']:.0f} s")
    table = _table(setting, answers, outputs)
    return Part("nnunet", (table,) if table.rows else (), bars=tuple(_bars(table)), notes=tuple(notes))


def _table(setting: Setting, answers: Mapping[str, Mapping[str, Any]], outputs: Mapping[str, Path]) -> Table:
    case, rows = setting.nnunet, []
    for method, answer in answers.items():
        total, network = answer["processor"]["total"], answer["processor"].get("network", 0.0)
        cells = {"network s": f"{network:.1f}", "beyond the network s": f"{total - network:.1f}", "other labels": ""}
        if method != "nnU-Net" and "nnU-Net" in outputs:
            other = read_labels(outputs[method]).array != read_labels(outputs["nnU-Net"]).array
            cells["other labels"] = f"{1e6 * other.mean():.2f}"
        rows.append(Row(method, (total,), answer["peak_mib"], cells))
    said = {"labels": case.labels, "features": "-".join(map(str, case.features)), "patch": f"{case.patch}^3"}
    note = NOTE.format(spacing=" x ".join(map(str, reversed(SPACING))), **said)
    title = f"an nnU-Net model on {' x '.join(map(str, case.shape))} voxels, {case.labels} labels"
    return Table("nnunet", title, "processor", 1, tuple(rows), note)


def _bars(table: Table) -> list[Bar]:
    """What was promised."""
    theirs = table.row("nnU-Net")
    bars = []
    for name, least in zip(METHODS, (LEAST_TORCH, LEAST_OPENVINO), strict=True):
        row = table.row(name)
        bars.append(Bar(f"{table.title}: {name} against nnU-Net's predictor", least, times_as_fast(row, theirs)))
        if row is not None and theirs is not None and row.peak_mib and theirs.peak_mib:
            share = row.peak_mib / theirs.peak_mib
            bars.append(Bar(f"{table.title}: memory of {name}, share of nnU-Net's", MOST_MEMORY, share, at_most=True))
    return bars


def write_models(folder: str, labels: int, patch: int, features: list[int], output: str) -> None:
    """In a child: a trained configuration as nnU-Net writes it, with random weights, and the same imported."""
    import torch

    from medseg.bundles.importing.choices import Choices
    from medseg.bundles.importing.nnunet.import_nnunet import import_nnunet
    from medseg.networks.ops.torchvision_operators import make_torchvision_importable
    from performance.nets import alive

    make_torchvision_importable()
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    path, stages = Path(folder), len(features)
    (path / "fold_0").mkdir(parents=True)
    arguments = {
        "n_stages": stages,
        "features_per_stage": features,
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": [[1, 1, 1], *[[2, 2, 2]] * (stages - 1)],
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    torch.manual_seed(0)
    classes = {"conv_op": torch.nn.Conv3d, "norm_op": torch.nn.InstanceNorm3d, "nonlin": torch.nn.LeakyReLU}
    network = alive(PlainConvUNet(1, num_classes=labels, deep_supervision=True, **(arguments | classes)))
    statistics = {"percentile_00_5": LOWER, "percentile_99_5": UPPER, "mean": MEAN, "std": STD}
    plans = {
        "dataset_name": "Dataset900_Bench",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "foreground_intensity_properties_per_channel": {"0": statistics},
        "configurations": {"3d_fullres": _configuration(patch, arguments)},
    }
    names = {"background": 0} | {f"part {value}": value for value in range(1, labels)}
    dataset = {"channel_names": {"0": "CT"}, "labels": names, "numTraining": 1, "file_ending": ".nii.gz"}
    (path / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (path / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
    content = {
        "network_weights": network.state_dict(),
        "init_args": {"configuration": "3d_fullres"},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": None,
    }
    torch.save(content, path / "fold_0" / CHECKPOINT)
    import_nnunet(path, Path(output), Choices(model_id=MODEL))


def _configuration(patch: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
    resampling = "resample_data_or_seg_to_shape"
    orders = {"data": (False, 3), "seg": (True, 1), "probabilities": (False, 1)}
    return {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [patch] * 3,
        "spacing": list(SPACING),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        **{f"resampling_fn_{name}": resampling for name in orders},
        **{
            f"resampling_fn_{name}_kwargs": {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}
            for name, (is_seg, order) in orders.items()
        },
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": dict(arguments),
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }


def theirs(folder: str, scan: str, output: str) -> dict[str, Any]:
    """In a child: nnU-Net's predictor from file to file."""
    import os

    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ.setdefault(name, str(Path(folder).parent))
    import torch

    from medseg.networks.ops.torchvision_operators import make_torchvision_importable
    from performance.spent import Spent

    make_torchvision_importable()
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        tile_step_size=0.5,
        use_gaussian=True,
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.initialize_from_trained_model_folder(folder, (0,), CHECKPOINT)
    spent = Spent()
    predictor.network.forward = spent.timed(predictor.network.forward)
    with spent.on("total"), spent.on("windows"):
        predictor.predict_from_files_sequential([[scan]], [output.removesuffix(".nii.gz")])
    assert np.any(read_labels(Path(output)).array), "a benchmark on an empty answer says little"
    return spent.report()
