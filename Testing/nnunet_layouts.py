"""Folders in the layout of trained models of nnU-Net, made from the small model that every clone has."""

import json
import shutil

import torch

TRAINER = "nnUNetTrainerNoMirroring__nnUNetPlans"


def write_layout(source, folder, *, classes=None, seed=0, configuration="3d_fullres", share=1.0):
    """Copy a trained configuration; the last layer may be another: of more classes, and so random.

    Args:
        source: the folder of plans and folds that is copied.
        folder: of the data set.
        classes: names of the classes; None: those of the source, with its own last layer.
        seed: of the random layer.
        configuration: its name.
        share: the weights of the last layer are multiplied by it.
    """
    target = folder / f"{TRAINER}__{configuration}"
    shutil.copytree(source, target)
    plans = json.loads((target / "plans.json").read_text())
    plans["configurations"][configuration] = plans["configurations"]["3d_fullres"]
    (target / "plans.json").write_text(json.dumps(plans))
    path = target / "fold_0" / "checkpoint_final.pth"
    state = torch.load(path, weights_only=False)
    state["init_args"]["configuration"] = configuration
    if classes is not None:
        dataset = json.loads((target / "dataset.json").read_text())
        dataset["labels"] = {"background": 0} | {name: value for value, name in enumerate(classes, start=1)}
        (target / "dataset.json").write_text(json.dumps(dataset))
    torch.manual_seed(seed)
    for key, value in state["network_weights"].items():
        if "seg_layers" in key:
            outputs = len(value) if classes is None else len(classes) + 1
            made = value if classes is None else torch.randn(outputs, *value.shape[1:]) / 4
            state["network_weights"][key] = made * share
    torch.save(state, path)
    return target
