"""Segment both hippocampi of a whole head, then of two crops, and compare the crops with the AAL atlas.

Run it with ``make demo``; results go to the folder named on the command line.
"""

import shlex
import sys
from pathlib import Path

from medseg.cli.main import run as medseg
from medseg.io.read import read_labels

HERE = Path(__file__).parent
HEAD = HERE.parents[1] / "Models" / "templates" / "colin27" / "t1.nii.gz"  # 2 mm
MODEL = "hippocampus-ultralight3d"


def dice_with_atlas(side: str, result: Path) -> float:
    """Dice of the union of all segments with the atlas' hippocampus of that side."""
    found = read_labels(result).array > 0
    atlas = read_labels(HERE / f"colin27_{side}_aal_hippocampus.nii.gz").array > 0
    return float(2 * (found & atlas).sum() / (found.sum() + atlas.sum()))


def demonstrate(folder: Path) -> int:
    """Segment, then say how plausible it is; the exit code of the first command that fails, else 0."""
    folder.mkdir(parents=True, exist_ok=True)
    crops = {f"hippocampus_{side}": HERE / f"colin27_{side}_t1.nii.gz" for side in ("left", "right")}
    for name, image in {"whole_head": HEAD, **crops}.items():
        command = ["segment", str(image), "--model", MODEL, "--output", str(folder / f"{name}.seg.nrrd")]
        command += ["--preview", str(folder / f"{name}.png"), "--overwrite"]
        print("$ medseg", shlex.join(command), flush=True)  # noqa: T201
        code = medseg(command)
        if code:
            return code
    print("\nPlausibility, not a score (the atlas draws other borders):")  # noqa: T201
    for side in ("left", "right"):
        dice = dice_with_atlas(side, folder / f"hippocampus_{side}.seg.nrrd")
        print(f"{side}: Dice {dice:.3f} with the hippocampus of the AAL atlas")  # noqa: T201
    print(f"Segmentations and pictures are in {folder}/")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(demonstrate(Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output")))
