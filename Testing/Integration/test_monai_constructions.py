"""Imported MONAI bundles give the labels that ``monai.bundle run`` gives with the bundle itself."""

from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from medseg.bundles.importing.choices import Choices
from medseg.bundles.importing.import_monai import import_monai_bundle
from medseg.jobs.run.segment import segment_case
from medseg.spec.errors import WeightsError
from medseg.spec.job import Options
from monai_child import run_monai
from monai_constructions import (
    ARGMAX,
    OBLIQUE,
    SLIDING,
    SOFTMAX,
    TURNED,
    case,
    config,
    invert,
    step,
    write,
)  # fmt: skip

__all__ = ["run_monai"]  # a fixture

RAS = step("Orientationd", axcodes="RAS")
SPACING = step("Spacingd", pixdim=[1.5, 1.5, 2.0], mode="bilinear")
RANGE = {"a_min": -150, "a_max": 250, "b_min": 0, "b_max": 1}
ROWS = {"_target_": "UNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 4, "channels": [8, 16], "strides": [2]}
DYN = {"_target_": "monai.networks.nets.DynUNet", "spatial_dims": "$len(@size)", "in_channels": 1,
       "out_channels": "$len(@names)", "kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2],
       "norm_name": "instance"}  # fmt: skip

BUNDLES = {
    "two statistics of the whole image": config(
        RAS, SPACING, step("ScaleIntensityd", minv=0, maxv=1), step("NormalizeIntensityd")
    ),
    "intensities before the spacing": config(
        step("ScaleIntensityRanged", clip=True, **RANGE), step("Orientationd", axcodes="LPS"), SPACING
    ),
    "labels brought back, a spacing that is chosen": config(
        RAS,
        step("Spacingd", pixdim="@mm", mode="bilinear"),
        step("NormalizeIntensityd", nonzero=True),
        step("ScaleIntensityd", minv=-1.0, maxv=1.0),
        after=[SOFTMAX, ARGMAX, invert(nearest=True)],
        mm="$[1.7, 1.6, 1.9] if @shown#fine else [3.0, 3.0, 3.0]",
        shown={"fine": True, "overlap": 0.25},
        inferer={**SLIDING, "overlap": "@shown#overlap", "mode": "gaussian", "padding_mode": "replicate"},
    ),
    "cropped to the foreground": config(
        RAS,
        SPACING,
        step("ScaleIntensityRanged", clip=True, **RANGE),
        step("CropForegroundd", source_key="image", mode=["minimum"]),
        network_def=DYN,
        size=[16, 16, 16],
        names={"background": 0, "a": 1, "b": 2, "c": 3},
        inferer={**SLIDING, "overlap": 0.75, "roi_size": "@size"},
    ),
    "cropped before anything": config(
        step("CropForegroundd", source_key="image", margin=1, allow_smaller=True),
        RAS,
        step("ScaleIntensityRangePercentilesd", lower=1, upper=99, b_min=-1, b_max=2, clip=False),
        SPACING,
    ),
    "axes of its own": config(
        step("NormalizeIntensityd", nonzero="True", channel_wise="True"), inferer={**SLIDING, "overlap": 0.7}
    ),
    "slices of the array": config(
        step("ScaleIntensityd"),
        network_def=ROWS,
        inferer={"_target_": "SliceInferer", "roi_size": [16, 16], "spatial_dim": 2},
    ),
    "logits brought back": config(RAS, SPACING, step("NormalizeIntensityd"), after=[invert(nearest=False), ARGMAX]),
}
CASES = [
    ("straight", (30, 26, 22), np.diag([1.2, 1.3, 1.1, 1])),
    ("turned", (24, 31, 27), TURNED),
    ("oblique", (27, 33, 14), OBLIQUE),
    ("small", (11, 14, 9), np.diag([-1.0, -1.0, 2.5, 1.0])),
]


def images(folder, cases=CASES):
    return [case(folder / "images", name, shape, affine, seed) for seed, (name, shape, affine) in enumerate(cases)]


def shares(folder, theirs, paths, run_monai, **choices):
    """Share of equal voxels, a case each; ours are made in the ways in which medseg makes labels and probabilities."""
    imported = import_monai_bundle(theirs, folder / "ours", Choices(model_id="ours", **choices))
    run_monai(SimpleNamespace(folder=theirs), paths[0].parent, folder / "out")
    found = {}
    for path in paths:
        wanted = np.asarray(nibabel.load(folder / "out" / f"{path.name[:-7]}_seg.nii.gz").dataobj).squeeze()
        assert np.bincount(wanted.astype(int).ravel()).max() < 0.97 * wanted.size, "a test on one label says little"
        options = Options(device="cpu", engine="torch")
        for way in (False, True):
            ours = segment_case([path], imported.bundle, options, want_probabilities=way).labels.array[0]
            found[path.name, way] = float((ours == wanted).mean())
    return imported, found


@pytest.mark.parametrize("name", BUNDLES)
def test_an_imported_bundle_gives_the_labels_of_monai_itself(tmp_path, run_monai, name):
    theirs = write(tmp_path / "theirs", BUNDLES[name], definition="label_def" if "crop" in name else "channel_def")
    _, found = shares(tmp_path, theirs, images(tmp_path), run_monai)
    assert min(found.values()) > 0.9995, found


SIGMOID, HALF = step("Activationsd", "pred", sigmoid=True), step("AsDiscreted", "pred", threshold=0.5)
CHAIN = "$lambda x: torch.where(x[[1]] > 0, 4, torch.where(x[[3]] > 0, 1, torch.where(x[[0]] > 0, 2, " \
    "torch.where(x[[2]] > 0, 3, 0))))"  # fmt: skip


@pytest.mark.parametrize("after", [[SIGMOID, invert(nearest=False), HALF], [invert(nearest=False), SIGMOID, HALF]])
def test_outputs_that_overlap_are_painted_in_the_bundles_order(tmp_path, run_monai, after):
    merged = [*after, step("Lambdad", "pred", func=CHAIN)]
    content = config(RAS, SPACING, step("NormalizeIntensityd", nonzero=True, channel_wise=True), after=merged)
    theirs, paths = write(tmp_path / "theirs", content), images(tmp_path, CASES[:2])
    bundle = import_monai_bundle(theirs, tmp_path / "ours", Choices(model_id="ours")).bundle
    assert [label.value for label in bundle.manifest.labels] == [2, 4, 3, 1]
    run_monai(SimpleNamespace(folder=theirs), paths[0].parent, tmp_path / "out")
    for path in paths:
        wanted = np.asarray(nibabel.load(tmp_path / "out" / f"{path.name[:-7]}_seg.nii.gz").dataobj).squeeze()
        layers = segment_case([path], bundle, Options(device="cpu", engine="torch")).labels.array
        assert (painted(layers, bundle.manifest) == wanted).mean() > 0.9995
        assert len(np.unique(wanted)) == 5


def painted(layers, manifest):
    """One number a voxel: a label that is painted later covers the earlier."""
    found = np.zeros(layers.shape[1:], dtype=int)
    for label in manifest.painted_labels:
        found[(layers == label.value).any(axis=0)] = label.value
    return found


def test_images_are_resized_with_room_for_clicks_that_nobody_made(tmp_path, run_monai):
    names = {"a": 1, "b": 2, "c": 3, "background": 0}
    clicks, marks = "monai.apps.deepedit.transforms", {"guidance": "guidance"}
    first, then, last = (
        [RAS, step("ScaleIntensityRanged", clip=True, **RANGE)],
        [
            {"_target_": f"{clicks}.AddGuidanceFromPointsDeepEditd", "ref_image": "image", "label_names": names},
            step("Resized", spatial_size="@size", mode="area"),
            {"_target_": f"{clicks}.ResizeGuidanceMultipleLabelDeepEditd", "ref_image": "image", **marks},
        ],
        [step(f"{clicks}.AddGuidanceSignalDeepEditd", number_intensity_ch=1, **marks), step("EnsureTyped")],
    )  # fmt: skip
    content = config(
        first=[step("LoadImaged"), step("EnsureChannelFirstd"), *first],
        then=then,
        last=last,
        preprocessing={"_target_": "Compose", "transforms": "$@first + @then + @last"},
        network_def={**DYN, "in_channels": "$len(@names) + 1"},
        size=[24, 32, 20],
        names=names,
        inferer={"_target_": "SimpleInferer"},
    )
    theirs = write(tmp_path / "theirs", content, channels=5)
    imported, found = shares(tmp_path, theirs, images(tmp_path, CASES[:3]), run_monai)
    assert (imported.bundle.manifest.monai.empty_channels, imported.bundle.manifest.window_shape) == (4, (24, 32, 20))
    assert min(found.values()) > 0.9995, found


def test_a_coloured_picture_is_resized_and_its_logits_brought_back(tmp_path, run_monai):
    content = config(
        preprocessing={
            "_target_": "Compose",
            "transforms": [
                step("LoadImaged"),
                step("EnsureChannelFirstd", channel_dim=-1),
                step("Resized", spatial_size=[32, 24], mode=["bilinear"]),
                step("ScaleIntensityd"),
            ],
        },
        after=[invert(nearest=False), ARGMAX],
        network_def={**ROWS, "in_channels": 3},
        inferer={"_target_": "SimpleInferer"},
    )
    content["saver"] |= {"output_ext": ".png", "output_dtype": "uint8"}
    content["dataset"]["data"] = "$[{'image': name} for name in sorted(glob.glob(@dataset_dir + '/*.png'))]"
    theirs = write(tmp_path / "theirs", content, channels=3, named=3)
    bundle = import_monai_bundle(theirs, tmp_path / "ours", Choices(model_id="ours")).bundle
    rows, columns = np.mgrid[:41, :53]
    waves = [np.sin(rows / 3 + n) * np.cos(columns / (4 + n)) for n in range(3)]
    (tmp_path / "images").mkdir()
    Image.fromarray(np.uint8(127 + 120 * np.stack(waves, axis=-1))).save(tmp_path / "images" / "a.png")
    run_monai(SimpleNamespace(folder=theirs), tmp_path / "images", tmp_path / "out")
    wanted = np.asarray(Image.open(tmp_path / "out" / "a_seg.png")).T
    ours = segment_case([tmp_path / "images" / "a.png"], bundle, Options(device="cpu", engine="torch"))
    assert len(np.unique(wanted)) > 2
    assert (ours.labels.array[0, :, :, 0] == wanted).mean() > 0.9995


def test_a_searched_architecture_is_built_from_the_bundles_second_file(tmp_path, run_monai):
    space = {
        "_target_": "monai.networks.nets.TopologyInstance",
        "channel_mul": 0.25,
        "num_blocks": 2,
        "num_depths": 2,
        "use_downsample": True,
        "arch_code": ["$@codes['a']", "$@codes['c']"],
        "device": "$torch.device('cpu')",
    }
    content = config(
        RAS,
        step("NormalizeIntensityd"),
        space=space,
        code_file="$@bundle_root + '/models/codes.pt'",
        codes="$torch.load(@code_file, map_location=torch.device('cpu'), weights_only=False)",
        network_def={
            "_target_": "monai.networks.nets.DiNTS",
            "dints_space": "@space",
            "in_channels": 1,
            "num_classes": 4,
            "use_downsample": True,
            "node_a": "$torch.from_numpy(@codes['node'])",
        },
    )
    codes = {"a": np.ones((2, 4)), "c": np.array([[1, 0, 1, 1], [2, 1, 1, 0]]), "node": np.ones((3, 2))}
    codes["a"][1, 3] = 0
    theirs = write(tmp_path / "theirs", content, codes=codes)
    imported, found = shares(tmp_path, theirs, images(tmp_path, CASES[:2]), run_monai)
    assert min(found.values()) > 0.9995, found
    assert imported.bundle.manifest.arguments["dints_space"]["arch_code"][1] == codes["c"].tolist()
    again = Choices(model_id="again")
    torch.save({"a": torch.nn.Conv2d(1, 1, 1)}, theirs / "models" / "codes.pt")
    with pytest.raises(WeightsError, match="could run code"):
        import_monai_bundle(theirs, tmp_path / "again", again)
    (theirs / "models" / "codes.pt").unlink()
    with pytest.raises(WeightsError, match=r"codes\.pt is missing, which the configuration reads"):
        import_monai_bundle(theirs, tmp_path / "again", again)
