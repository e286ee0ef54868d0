"""One hundred and six inputs, each a kind of its own: ``write_corpus`` makes the files and returns what is expected."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np

from bad_inputs.dicom import ORIENTATION, PIXEL_SPACING, PIXELS, POSITION, ROWS, write_series

GRID = np.diag([1.0, 1.0, 2.0, 1.0])
PLACES_MM = np.arange(16) * 2.0  # of slices along z
NO_FORMS = (252, "<2h", 0, 0)  # qform_code and sform_code of a NIfTI header


def phantom(shape: tuple[int, int, int] = (24, 20, 16)) -> np.ndarray:
    """A body in air with two organs and noise, as a CT shows it; int16, ``(I, J, K)``."""
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    volume = np.full(shape, -1000.0)
    volume[(i / 0.8) ** 2 + (j / 0.7) ** 2 + (k / 1.2) ** 2 < 1] = 40
    volume[((i - 0.3) / 0.25) ** 2 + (j / 0.3) ** 2 + (k / 0.5) ** 2 < 1] = 160
    volume[((i + 0.3) / 0.2) ** 2 + ((j + 0.1) / 0.25) ** 2 + (k / 0.5) ** 2 < 1] = -80
    return (volume + np.random.default_rng(0).normal(0, 8, shape)).round().astype(np.int16)


def nifti(array: np.ndarray, affine: np.ndarray = GRID, *, kind: type = nibabel.Nifti1Image, header=None) -> bytes:
    return kind(array, affine, header=header, dtype=array.dtype).to_bytes()


def patched(data: bytes, *places: tuple) -> bytes:
    """The bytes with others written over them: each place is an offset, a format of ``struct`` and its values."""
    changed = bytearray(data)
    for offset, form, *values in places:
        struct.pack_into(form, changed, offset, *values)
    return bytes(changed)


def nrrd(array: np.ndarray, *, sizes=None, directions="(1,0,0) (0,1,0) (0,0,2)", form="short", extra="") -> bytes:
    """A NRRD file with the header said and the voxels as they are; without directions it names no space."""
    space = ""
    if directions:
        space = f"space: left-posterior-superior\nspace directions: {directions}\nspace origin: (0,0,0)\n"
    shape = " ".join(map(str, sizes or array.shape))
    head = f"NRRD0004\ntype: {form}\ndimension: 3\n{space}sizes: {shape}\nendian: little\nencoding: raw\n{extra}\n"
    return head.encode("ascii") + array.tobytes(order="F")


def metaimage(data_file: str) -> bytes:
    sizes = "ObjectType = Image\nNDims = 3\nDimSize = 24 20 16\nElementSpacing = 1 1 2\n"
    return f"{sizes}ElementType = MET_SHORT\nElementDataFile = {data_file}\n".encode("ascii")


class Corpus:
    """A folder that fills with inputs, and what is expected of each: accept, warn, reject, or either of the last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.expected: dict[str, str] = {}
        self.volume = phantom()
        self.sound = nifti(self.volume)

    def add(self, name: str, expect: str, data: bytes) -> None:
        """Write a file as it is."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.expected[name] = expect

    def add_packed(self, name: str, expect: str, data: bytes) -> None:
        """Write a file as a gzip stream."""
        self.add(name, expect, gzip.compress(data, mtime=0))

    def add_series(self, name: str, expect: str, positions_mm=PLACES_MM, volume=None, **choices) -> None:
        """Write a folder of DICOM slices, of the phantom where no volume is given."""
        write_series(self.folder / name, self.volume if volume is None else volume, positions_mm, **choices)
        self.expected[name] = expect


def write_corpus(folder: Path) -> dict[str, str]:
    """Write every input below ``folder``; returns the expected outcome by name."""
    corpus = Corpus(folder)
    for part in (_containers, _headers, _values, _types, _shapes, _geometry, _labels, _series, _paths):
        part(corpus)
    return corpus.expected


def _containers(corpus: Corpus) -> None:
    sound, packed = corpus.sound, gzip.compress(corpus.sound, mtime=0)
    text = b"This is not an image.\n" * 40
    corpus.add("ok_reference.nii.gz", "accept", packed)
    corpus.add("truncated.nii.gz", "reject", packed[: len(packed) // 2])
    corpus.add("truncated.nii", "reject", sound[: 352 + corpus.volume.nbytes // 3])
    corpus.add("header_only.nii", "reject", sound[:352])
    corpus.add("bad_crc.nii.gz", "either", packed[:-8] + bytes(8))
    corpus.add("trailing_garbage.nii.gz", "either", packed + b"garbage" * 20)
    for name in ("empty.nii.gz", "empty.nrrd"):
        corpus.add(name, "reject", b"")
    for name in ("text_renamed.nii", "text_renamed.nii.gz", "text_renamed.dcm"):
        corpus.add(name, "reject", text)
    corpus.add("no_extension", "either", sound)
    corpus.add("mhd_missing_raw.mhd", "reject", metaimage("absent.raw"))
    corpus.add("mhd_short.mhd", "reject", metaimage("mhd_short.raw"))
    corpus.add("mhd_short.raw", "reject", corpus.volume.tobytes(order="F")[:1000])
    missing = nrrd(corpus.volume[:0], sizes=corpus.volume.shape, extra="data file: not_there.raw\n")
    corpus.add("nrrd_missing_datafile.nhdr", "reject", missing)


def _headers(corpus: Corpus) -> None:
    sound, volume = corpus.sound, corpus.volume
    corpus.add("bad_magic.nii", "either", patched(sound, (344, "4s", b"XXXX")))
    corpus.add("bad_datatype_code.nii", "reject", patched(sound, (70, "<h", 9999)))
    corpus.add("zero_dim.nii", "either", patched(sound, (40, "<4h", 3, 24, 0, 16))[:352])
    corpus.add("negative_dim.nii", "reject", patched(sound, (40, "<4h", 3, -24, 20, 16)))
    corpus.add("claims_16TB.nii", "reject", patched(sound, (40, "<4h", 3, 20000, 20000, 20000)))
    corpus.add("nrrd_wrong_sizes.nrrd", "reject", nrrd(volume, sizes=(48, 40, 32)))
    corpus.add("nrrd_sizes_too_small.nrrd", "either", nrrd(volume, sizes=(12, 10, 8)))
    corpus.add("nrrd_bad_type.nrrd", "reject", nrrd(volume, form="quaternion"))
    corpus.add_packed("scl_slope_zero.nii.gz", "accept", patched(sound, (112, "<f", 0.0)))
    corpus.add("scl_slope_inf.nii", "either", patched(sound, (112, "<f", float("inf"))))
    corpus.add("scl_slope_half.nii", "accept", patched(sound, (112, "<2f", 0.5, -1000.0)))


def _values(corpus: Corpus) -> None:
    volume = corpus.volume.astype(np.float32)
    nothing = np.full_like(volume, np.nan)
    block, ends, outlier = volume.copy(), volume.copy(), volume.copy()
    block[3:6, 3:6, 3:6] = np.nan
    ends[10:12, 10, 8] = np.inf, -np.inf
    both = block.copy()
    both[10, 10, 8] = np.inf
    outlier.ravel()[500] = 1e30
    corpus.add_packed("nan_block.nii.gz", "warn", nifti(block))
    corpus.add_packed("inf_voxels.nii.gz", "warn", nifti(ends))
    corpus.add_packed("all_nan.nii.gz", "reject", nifti(nothing))
    corpus.add("nan_inf.nrrd", "warn", nrrd(both, form="float"))
    corpus.add("all_nan.nrrd", "reject", nrrd(nothing, form="float"))
    corpus.add_packed("constant_zero.nii.gz", "warn", nifti(corpus.volume * 0))
    corpus.add_packed("constant_nonzero.nii.gz", "warn", nifti(np.full_like(corpus.volume, 37)))
    corpus.add_packed("outlier_1e30.nii.gz", "either", nifti(outlier))


def _types(corpus: Corpus) -> None:
    volume = corpus.volume
    from_zero = np.clip(volume + 1000, 0, None)
    fitting = {"int8": np.clip(volume // 16, -128, 127), "uint8": np.clip(from_zero // 8, 0, 255)}
    for name in ("int8", "uint8", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"):
        array = fitting.get(name, from_zero if name.startswith("u") else volume)
        corpus.add_packed(f"dtype_{name}.nii.gz", "accept", nifti(array.astype(name)))
    big = nifti(volume.astype(">i2"), header=nibabel.Nifti1Header(endianness=">"))
    corpus.add_packed("dtype_bigendian_int16.nii.gz", "accept", big)
    corpus.add_packed("dtype_complex64.nii.gz", "either", nifti(volume.astype(np.complex64)))
    colour = np.zeros(volume.shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colour["R"], colour["G"] = fitting["uint8"], 20
    corpus.add_packed("rgb24.nii.gz", "either", nifti(colour))
    corpus.add_packed("nifti2.nii.gz", "either", nifti(volume, kind=nibabel.Nifti2Image))


def _shapes(corpus: Corpus) -> None:
    volume = corpus.volume
    shapes = {
        "one_slice": ("either", volume[:, :, 8:9]),
        "one_slice_2d": ("either", volume[:, :, 8]),
        "one_column": ("either", volume[12:13, 10:11]),
        "one_voxel": ("either", volume[:1, :1, :1]),
        "prime_shape": ("accept", phantom((23, 19, 13))),
        "thin_17x300x5": ("accept", phantom((17, 300, 5))),
        "4d_time": ("either", np.stack([volume, volume + np.int16(5), volume + np.int16(9)], axis=-1)),
        "4d_single": ("accept", volume[..., None]),
        "5d_vector": ("either", np.stack([volume] * 3, axis=-1)[:, :, :, None]),
        "5d_full": ("reject", np.tile(volume[..., None, None], (1, 1, 1, 2, 2))),
        "7d": ("reject", volume[:8, :8, :8].reshape(8, 8, 8, 1, 1, 1, 1).repeat(2, axis=6)),
    }
    for name, (expect, array) in shapes.items():
        corpus.add_packed(f"{name}.nii.gz", expect, nifti(array))


def _geometry(corpus: Corpus) -> None:
    volume, sound = corpus.volume, corpus.sound
    for name, size in (("huge_spacing", 1000.0), ("tiny_spacing", 1e-5)):
        corpus.add_packed(f"{name}.nii.gz", "either", nifti(volume, np.diag([size, size, size, 1])))
    thick = nifti(phantom((64, 60, 6)), np.diag([0.25, 0.25, 10, 1]))
    corpus.add_packed("anisotropic_40to1.nii.gz", "accept", thick)
    corpus.add("zero_spacing.nii", "either", patched(sound, (76, "<4f", 1, 0, 0, 0), NO_FORMS))
    corpus.add("negative_pixdim.nii", "either", patched(sound, (76, "<4f", 1, -1, -1, -2), NO_FORMS))
    corpus.add("no_qform_sform.nii", "warn", patched(sound, NO_FORMS))
    corpus.add("nan_affine.nii", "reject", patched(sound, (280, "<f", float("nan"))))
    corpus.add("singular_affine.nii", "reject", patched(sound, (280, "<12f", *[0.0] * 12), (252, "<2h", 0, 1)))

    sheared, far, turned = GRID.copy(), GRID.copy(), np.eye(4)
    sheared[0, 1], sheared[1, 2] = 0.35, 0.5
    far[:3, 3] = 1e6
    (cz, sz), (cx, sx) = ((np.cos(angle), np.sin(angle)) for angle in (np.radians(27), 0.3))
    turned[:3, :3] = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]) @ [[1, 0, 0], [0, cx, -sx], [0, sx, cx]]
    corpus.add_packed("sheared_sform.nii.gz", "either", patched(nifti(volume, sheared), (252, "<h", 0)))
    corpus.add_packed("far_origin.nii.gz", "accept", nifti(volume, far))
    corpus.add_packed("oblique_27deg.nii.gz", "accept", nifti(volume, turned @ GRID))

    differing = nibabel.Nifti1Image(volume, GRID)
    differing.header.set_sform(GRID, 1)
    differing.header.set_qform(np.array([[0, -1, 0, 40], [1, 0, 0, -10], [0, 0, 2, 10], [0, 0, 0, 1.0]]), 1)
    corpus.add_packed("qform_sform_differ.nii.gz", "either", differing.to_bytes())
    stored = nibabel.Nifti1Image(volume, GRID)
    for code in ("LPS", "LAS", "RAI", "PIR", "ASL", "SRA"):
        turn = nibabel.orientations.ornt_transform(
            nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(code)
        )
        corpus.add_packed(f"orient_{code}.nii.gz", "accept", stored.as_reoriented(turn).to_bytes())

    for name, expect, directions in (
        ("nonorthogonal", "either", "(1,0,0) (0.4,0.9,0) (0,0.3,2)"),
        ("lefthanded", "accept", "(-1,0,0) (0,1,0) (0,0,2)"),
        ("singular_dirs", "reject", "(1,0,0) (1,0,0) (0,0,2)"),
        ("nan_dirs", "reject", "(nan,0,0) (0,1,0) (0,0,2)"),
    ):
        corpus.add(f"nrrd_{name}.nrrd", expect, nrrd(volume, directions=directions))
    corpus.add("nrrd_no_space.nrrd", "warn", nrrd(volume, directions="", extra="spacings: 1 1 2\n"))


def _labels(corpus: Corpus) -> None:
    """Label maps that do or do not fit ``ok_reference``."""
    labels = (corpus.volume > 100).astype(np.uint8)
    shifted = GRID.copy()
    shifted[0, 3] = 7
    corpus.add_packed("label_ok.nii.gz", "accept", nifti(labels))
    corpus.add_packed("label_wrong_shape.nii.gz", "reject", nifti(labels[:-2]))
    corpus.add_packed("label_shifted.nii.gz", "either", nifti(labels, shifted))
    corpus.add_packed("label_float.nii.gz", "either", nifti(labels * np.float32(0.99)))
    corpus.add_packed("label_negative_300.nii.gz", "either", nifti(np.where(labels, 300, -1).astype(np.int16)))
    corpus.add_packed("label_empty.nii.gz", "accept", nifti(labels * np.uint8(0)))


def _series(corpus: Corpus) -> None:
    def without(*tags: tuple[int, int]) -> Callable:
        return lambda said, _number: [said.pop(tag) for tag in tags]

    def fewer_rows(said: dict, number: int) -> None:
        if number == 9:
            said[ROWS], said[PIXELS] = ("US", 10), ("OW", said[PIXELS][1][: 10 * 24 * 2])

    def short(said: dict, number: int) -> None:
        if number == 5:
            said[PIXELS] = "OW", said[PIXELS][1][:100]

    steps = np.array([0, 2, 2, 2, 2, 2, 5, 5, 5, 5, 2, 2, 2, 1, 1, 1.0])
    corpus.add_series("dicom_ok", "accept")
    corpus.add_series("dicom_missing_slice", "warn", skip=(7,))
    corpus.add_series("dicom_irregular_spacing", "warn", np.cumsum(steps))
    corpus.add_series("dicom_duplicate_position", "warn", np.where(np.arange(16) > 2, PLACES_MM - 2, PLACES_MM))
    corpus.add_series("dicom_gantry_tilt", "warn", tilt_degrees=18.0)
    corpus.add_series("dicom_no_pixelspacing", "warn", change=without(PIXEL_SPACING))
    corpus.add_series("dicom_no_position", "warn", change=without(POSITION, ORIENTATION))
    corpus.add_series("dicom_size_changes", "reject", change=fewer_rows)
    corpus.add_series("dicom_short_pixeldata", "either", change=short)
    corpus.add_series("dicom_reversed_names", "accept", PLACES_MM[::-1], corpus.volume[:, :, ::-1])
    corpus.add_series("dicom_single", "either", volume=corpus.volume[:, :, :1])
    corpus.add_series("dicom_mixed_series", "either")
    corpus.add_series("dicom_mixed_series", "either", volume=phantom((16, 16, 16)), series="B", modality="MR")
    (corpus.folder / "dicom_empty_dir").mkdir()
    corpus.expected["dicom_empty_dir"] = "reject"


def _paths(corpus: Corpus) -> None:
    """Sound volumes in places that programs trip over."""
    names = {
        "päth wïth spaces 数据 Ω/vol ume (1) 'q' #%.nii.gz": "accept",
        "x" * 180 + ".nii.gz": "accept",
        "double.ext.v1.2.nii.gz": "accept",
        "UPPER.NII.GZ": "either",
        "readonly_dir/vol.nii.gz": "accept",
    }
    for name, expect in names.items():
        corpus.add_packed(name, expect, corpus.sound)
    (corpus.folder / "readonly_dir").chmod(0o555)
