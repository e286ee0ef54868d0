"""Train the learned answer of the stroke corrector; a quarter of an hour on one core.

python Testing/Benchmarks/train_corrector.py HIPPOCAMPUS VOLUMES --output answer.npz [--cache FOLDER] [--cases 36]

HIPPOCAMPUS is MSD's Task04 with its folds: training cases of fold 0 alone. VOLUMES holds the CT and MR volumes named
in ``strokes.cases.LEARNT``. The file goes to ``MedSegAttention/medseg/imaging/correction/answer.npz``.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from strokes.cases import hippocampi, other_anatomies
from strokes.train import train


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hippocampus", type=Path)
    parser.add_argument("volumes", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("build/bench/strokes"))
    parser.add_argument("--cases", type=int, default=36)
    given = parser.parse_args()
    torch.set_num_threads(1)
    good = hippocampi(given.hippocampus, "train", given.cache, count=given.cases, step=2)
    blurred = hippocampi(given.hippocampus, "train", given.cache, count=given.cases // 3, step=6, blurred=True)
    random = np.random.default_rng(1)
    train(good, blurred, lambda: other_anatomies(given.volumes, 60, random)).save(given.output)


if __name__ == "__main__":
    main()
