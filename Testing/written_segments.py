"""A .seg.nrrd as Slicer writes it, by pynrrd: values, layers and order of its segments as a test wants them."""

import nrrd
import numpy as np

AFFINE = np.diag([1.0, 1.0, 1.2, 1.0])


def write_segments(path, array, segments, affine=AFFINE):
    """Write ``array`` (I, J, K) or (layers, I, J, K) with segments of (name, value, layer) and perhaps codes."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    directions, kinds = lps[:3, :3].T, ["domain"] * 3
    if array.ndim == 4:
        directions, kinds = np.vstack([np.full((1, 3), np.nan), directions]), ["list", *kinds]
    header = {"space": "left-posterior-superior", "space origin": lps[:3, 3], "space directions": directions}
    header |= {"kinds": kinds, "encoding": "gzip"}
    for number, (name, value, layer, *code) in enumerate(segments):
        start = f"Segment{number}"
        header |= {f"{start}_ID": f"Segment_{number + 1}", f"{start}_Name": name}
        header |= {f"{start}_LabelValue": str(value), f"{start}_Layer": str(layer)}
        if code:
            entry = f"Segmentation category and type - 3D Slicer General Anatomy list~{'~'.join(code[0])}"
            header[f"{start}_Tags"] = f"TerminologyEntry:{entry}|"
    path.parent.mkdir(parents=True, exist_ok=True)
    nrrd.write(str(path), array, header)
    return path


def two_balls(seed=0, shape=(20, 18, 16)):
    """Image and labels: 1 is the larger ball, on the right of the body; 2 the smaller one, on its left."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij"))
    centre = random.uniform(-0.2, 0.2, 3)[:, None, None, None]
    aside = np.array([0.3, 0, 0])[:, None, None, None]
    large = ((grid - centre - aside) ** 2).sum(0) < 0.08
    small = (((grid - centre + aside) ** 2).sum(0) < 0.06) & ~large
    image = 100 + 300 * large + 150 * small + random.normal(0, 15, shape)
    return image.astype(np.int16), (large + 2 * small).astype(np.uint8)
