"""The streaming window pass against MONAI's sliding window: processor time beyond the network, and peak memory.

Each run is a process of its own with one thread, and the runs of both alternate. The network is one multiplication a
class, so that stitching and decoding are most of the work; the seconds spent inside it are counted apart. MONAI's
labels are ``argmax`` of what ``sliding_window_inference`` returns. Memory is the largest resident size above that of
the process with its libraries and its volume loaded, so the network's answer to one window is part of it for both.

    python Testing/Benchmarks/streaming.py --size 512 512 200 --classes 14 --rounds 3
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

METHODS = ("monai", "streaming")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def compare(size, classes, *, window=96, overlap=0.5, rounds=3, spacing=1.0, methods=METHODS):
    """Run all methods ``rounds`` times in turn; a list of what each run measured, by method."""
    found = {method: [] for method in methods}
    for _ in range(rounds):
        for method in methods:
            found[method].append(run_child(method, size, classes, window, overlap, spacing))
    return found


def summary(found):
    """Medians by method, and the ratios of the first to the last: above 1 is less time, less memory."""
    median = {
        method: {
            key: statistics.median(run[key] for run in runs) for key in ("beyond_network_s", "network_s", "peak_mb")
        }
        for method, runs in found.items()
    }
    *_, last = median
    first = next(iter(median))
    return {
        "medians": median,
        "time_share": median[last]["beyond_network_s"] / median[first]["beyond_network_s"],
        "memory_ratio": median[first]["peak_mb"] / median[last]["peak_mb"],
        "different_voxels": None if len({run["digest"] for runs in found.values() for run in runs}) > 1 else 0,
    }


def run_child(method, size, classes, window, overlap, spacing):
    """Measure one method in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--one", method, "--size", *map(str, size)]
    command += ["--classes", str(classes), "--window", str(window), "--overlap", str(overlap)]
    command += ["--spacing", str(spacing)]
    done = subprocess.run(command, env=os.environ | ONE_THREAD, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(method, size, classes, window, overlap, spacing):
    """Run one method in this process, on one thread."""
    import torch

    torch.set_num_threads(1)
    volume = phantom(size)
    network = Counted(classes)
    run = {"monai": prepare_monai, "streaming": prepare_streaming}[method](
        volume, network, classes, window, overlap, spacing
    )
    with torch.inference_mode():
        network(torch.zeros(1, 1, 8, 8, 8))
    network.seconds, network.calls = 0.0, 0
    before = resident_mb()
    forget_peak()
    begun = time.process_time()
    labels = run()
    took = time.process_time() - begun
    return {
        "method": method,
        "windows": network.calls,
        "cpu_s": took,
        "network_s": network.seconds,
        "beyond_network_s": took - network.seconds,
        "peak_mb": peak_mb() - before,
        "digest": hashlib.sha256(labels).hexdigest()[:12],
    }


def phantom(size):
    """Smooth waves and noise, ``(I, J, K)`` float32."""
    import numpy as np

    rng = np.random.default_rng(0)
    waves = [np.cos(np.linspace(0, (axis + 2) * np.pi, count, dtype=np.float32)) for axis, count in enumerate(size)]
    volume = rng.standard_normal(size, dtype=np.float32)
    volume *= 0.05
    volume += waves[0][:, None, None] + waves[1][None, :, None] * waves[2]
    return volume


class Counted:
    """Logits of class c: c times the voxel less half of c squared, so that the class nearest to the voxel wins."""

    def __init__(self, classes):
        import torch

        values = torch.linspace(-2, 2, classes).view(1, -1, 1, 1, 1)
        self.slope, self.offset = values, -values.square() / 2
        self.seconds, self.calls = 0.0, 0

    def __call__(self, windows):
        """Answer, and count the time that takes."""
        begun = time.process_time()
        answer = windows * self.slope
        answer += self.offset
        self.seconds += time.process_time() - begun
        self.calls += len(windows)
        return answer

    def to(self, *_args, **_kwargs):
        """Stay: there are no weights."""
        return self


def prepare_monai(volume, network, _classes, window, overlap, spacing):
    """MONAI's inferer and ``argmax``; the volume's own grid only."""
    import torch
    from monai.inferers import sliding_window_inference

    if spacing != 1:
        msg = "MONAI's inferer does not resample; leave --spacing away"
        raise SystemExit(msg)
    tensor = torch.from_numpy(volume)[None, None]

    def run():
        with torch.inference_mode():
            logits = sliding_window_inference(tensor, [window] * 3, 1, network, overlap=overlap, mode="gaussian")
            return logits[0].argmax(0).to(torch.uint8).numpy()

    return run


def prepare_streaming(volume, network, classes, window, overlap, spacing):
    """Our pass; ``spacing`` is that of the input, where the network's is 1 mm."""
    import numpy as np

    from medseg.imaging.image import Image
    from medseg.imaging.preprocess import Prepared
    from medseg.imaging.steps import Crop, Reorient, Resample
    from medseg.inference.run_plan import plan_network
    from medseg.inference.streaming import predict_labels
    from medseg.spec.job import Options

    manifest = model(classes, window, overlap)
    shape = tuple(round(count / spacing) for count in volume.shape)
    source = Image(np.broadcast_to(np.uint8(0), (1, *shape)), np.diag([spacing, spacing, spacing, 1.0]))
    prepared = Prepared(
        image=Image(volume[None]),
        reorient=Reorient.to_orientation(source, "RAS"),
        crop=Crop.to_box(source, (0, 0, 0), shape),
        resample=Resample.to_shape(source, volume.shape),
    )
    plan = plan_network(prepared.image.array.shape, manifest, Options(), device="cpu")
    return lambda: predict_labels(prepared, network, plan, engine=network).labels


def model(classes, window, overlap):
    """A manifest with so many classes, background included."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from medseg.spec.manifest import Code, LabelSpec
    from small_manifest import small_manifest

    code = Code("SCT", "123037004", "Anatomical Structure")
    labels = tuple(
        LabelSpec(value=value, name=str(value), color=(1, 2, 3), category=code, type=code)
        for value in range(1, classes)
    )
    return small_manifest(labels=labels, window_shape=(window, window, window), overlap=overlap)


def resident_mb():
    """Resident memory of this process, MiB."""
    return _status("VmRSS:")


def peak_mb():
    """Its largest since ``forget_peak``, MiB."""
    return _status("VmHWM:")


def forget_peak():
    """Let the largest be what it is now; Linux only."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(field):
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def main():
    """Measure as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=3, default=(256, 256, 160))
    parser.add_argument("--classes", type=int, default=14)
    parser.add_argument("--window", type=int, default=96)
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--spacing", type=float, default=1.0, help="of the input in the network's voxels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", choices=METHODS)
    asked = parser.parse_args()
    size = tuple(asked.size)
    if asked.one:
        print(json.dumps(measure(asked.one, size, asked.classes, asked.window, asked.overlap, asked.spacing)))
        return
    methods = METHODS if asked.spacing == 1 else METHODS[1:]
    found = compare(
        size,
        asked.classes,
        window=asked.window,
        overlap=asked.overlap,
        rounds=asked.rounds,
        spacing=asked.spacing,
        methods=methods,
    )
    for runs in zip(*found.values(), strict=True):
        for run in runs:
            print(json.dumps(run))
    print(json.dumps(summary(found), indent=1))


if __name__ == "__main__":
    main()
