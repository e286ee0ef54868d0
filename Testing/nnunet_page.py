"""Write docs/reference/nnunet-parity.md: python Testing/nnunet_page.py KIT, models and nnU-Net's own answers.

Each folder of KIT has ``model/``, ``input/NAME_0000.nii.gz`` and ``expected/MODE/NAME.nii.gz``, beside some of these
``NAME_probabilities.npz`` as ``nnUNetv2_predict --save_probabilities`` writes it.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np

from medseg.bundles.catalogue import Bundle
from medseg.bundles.importing.choices import Choices
from medseg.bundles.importing.nnunet.import_nnunet import import_nnunet
from medseg.jobs.run.segment import segment_case
from medseg.spec.job import Options

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "nnunet-parity.md"
BEGINNING = """# nnU-Net's own answers, voxel by voxel

Tiny models made with nnU-Net 2.8.1 were imported and run with PyTorch on a processor; the labels and probabilities that
they are held against were written by nnU-Net's predictor. `larger` and `smaller` say how an image compares with a
window of the network; `nomirror` and `mirror` are runs without and with averaging over mirror images. The kit's cascade
without mirroring was made with labels of the mirrored first stage, which is no option here: a test gives its second
stage these labels, and no voxel differs. Written by `Testing/nnunet_page.py`; `Testing/Integration/test_nnunet.py`
holds the models to it. How to import a model:
[Bring your nnU-Net model](../how-to/nnunet.md).

| model | run | image | voxels | other labels | largest difference of a probability |
| --- | --- | --- | ---: | ---: | ---: |
"""


def run_of(bundle: Bundle, path: Path) -> tuple[int, int, str]:
    """Voxels, those with another label than nnU-Net's, and the largest difference of a probability."""
    name, mode = path.name.removesuffix(".nii.gz"), path.parent.name
    mirror = False if "nomirror" in mode else None
    options = Options(
        device="cpu",
        engine="torch",
        mirror=mirror if bundle.manifest.mirror_axes or bundle.manifest.composition is not None else None,
        overlap=0.2 if mode.endswith("step08") else None,
    )
    stored = path.with_name(f"{name}_probabilities.npz")
    inputs = sorted((path.parents[2] / "input").glob(f"{name}_*.nii.gz"))
    found = segment_case(inputs, bundle, options, want_probabilities=stored.is_file())
    other = np.count_nonzero(found.labels.array[0] != np.asarray(nibabel.load(path).dataobj))
    gap = ""
    if stored.is_file():
        theirs = np.load(stored)["probabilities"].astype(np.float32).transpose(0, 3, 2, 1)
        ours = found.probabilities.array if found.probabilities is not None else np.empty(0)
        # where a reader turns an image, nnU-Net stores its probabilities as they were turned
        gap = f"{np.abs(ours - theirs).max():.1e}" if ours.shape == theirs.shape else "stored turned"
    return found.labels.array[0].size, int(other), gap


def rows(kit: Path) -> Iterator[str]:
    """Lines of the table."""
    for folder in sorted(each for each in kit.iterdir() if (each / "model").is_dir()):
        with tempfile.TemporaryDirectory() as made:
            models: dict[str | None, Bundle] = {}
            for path in sorted(folder.glob("expected/*/*.nii.gz")):
                mode = path.parent.name
                if mode == "3d_cascade_fullres_nomirror":
                    continue  # made with labels of the mirrored first stage
                first = "3d_lowres" if mode.startswith("3d_lowres") else None
                if first not in models:
                    source, target = folder / "model", Path(made) / f"model-{first}"
                    choices = Choices(model_id="theirs")
                    models[first] = import_nnunet(source, target, choices, configuration_name=first).bundle
                voxels, other, gap = run_of(models[first], path)
                case = path.name.removesuffix(".nii.gz")
                yield f"| {folder.name} | {mode} | {case} | {voxels:,} | {other} | {gap} |"


if __name__ == "__main__":
    lines = []
    for line in rows(Path(sys.argv[1])):
        sys.stdout.write(f"{line}\n")
        lines.append(line)
    PAGE.write_text(BEGINNING + "\n".join(lines) + "\n", encoding="utf-8")
