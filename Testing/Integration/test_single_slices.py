"""A single slice is measured in cm2 through every door, and in pixels alone where nobody knows their size."""

import csv
import math

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image as Picture

pytest.importorskip("torch", reason="the command needs torch")

import medseg
from Integration.tiny import write_tiny_slice_bundle
from medseg.cli.main import run
from medseg.imaging.image import Image
from medseg.io.read import read_labels
from medseg.io.write import write_image

FLAT = "tiny-flat"
GREY = np.random.default_rng(3).integers(0, 255, (30, 40)).astype(np.uint8)  # rows, columns
ENDINGS = {"film": ".nii.gz", "picture": ".png", "volume": ".nii.gz"}
PIXEL_CM2 = 0.5 * 0.8 / 100


@pytest.fixture
def flat_model(tmp_path, monkeypatch):
    """A model that reads slices."""
    write_tiny_slice_bundle(tmp_path / "models", model_id=FLAT)
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    return FLAT


@pytest.fixture
def scans(tmp_path):
    """A slice of known size, a picture and a volume."""
    folder = tmp_path / "scans"
    folder.mkdir()
    array = GREY.T[None, :, :, None].astype(np.float32)
    write_image(folder / "film.nii.gz", Image(array, np.diag([0.5, 0.8, 1.0, 1.0])))
    Picture.fromarray(GREY).save(folder / "picture.png")
    write_image(folder / "volume.nii.gz", Image(np.repeat(array, 4, axis=3), np.diag([0.5, 0.8, 2.0, 1.0])))
    return folder


def counts_in(path):
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    return [int((array == value).sum()) for value in (1, 2)]


def test_the_table_of_the_command_has_the_unit_of_the_image(flat_model, scans, tmp_path, capsys):
    shown = {}
    for name in ("film.nii.gz", "picture.png", "volume.nii.gz"):
        out = tmp_path / f"{name}.nrrd"
        assert run(["segment", str(scans / name), "--model", flat_model, "-o", str(out), "--device", "cpu"]) == 0
        shown[name] = capsys.readouterr().out
        (line,) = [line for line in shown[name].splitlines() if "front" in line]
        numbers = [float(word) for word in line.replace("|", " ").split() if word[0].isdigit()]
        count = counts_in(out)[0]
        factor = {"film.nii.gz": PIXEL_CM2, "volume.nii.gz": 0.5 * 0.8 * 2 / 1000}.get(name)
        assert numbers[0] == count
        if factor is not None:
            assert numbers[1] == pytest.approx(count * factor, abs=6e-4)
    assert "area cm2" in shown["film.nii.gz"]
    assert "volume ml" in shown["volume.nii.gz"]
    assert "pixel size: unknown" in shown["picture.png"]
    for name in ("film.nii.gz", "picture.png"):
        assert " ml" not in shown[name]
    assert "cm2" not in shown["picture.png"] + shown["volume.nii.gz"]


def test_a_batch_has_a_column_in_every_unit_and_goes_on_from_its_own_report(flat_model, scans, tmp_path, capsys):
    out, listed = tmp_path / "out", tmp_path / "cases.csv"
    lines = [f"{name},{scans.name}/{name}{end}" for name, end in ENDINGS.items()]
    listed.write_text("\n".join(["case,image", *lines]), encoding="utf-8")
    arguments = ["batch", str(listed), "--model", flat_model, "--output", str(out), "--device", "cpu"]
    assert run(arguments) == 0
    with (out / "report.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["case"]: row for row in csv.DictReader(stream)}
    for name, unit, factor in (("film", "cm2", PIXEL_CM2), ("picture", "voxels", 1), ("volume", "ml", 0.0008)):
        count = counts_in(out / f"{name}.seg.nrrd")
        for number, segment in enumerate(("front", "back")):
            assert float(rows[name][f"{segment} {unit}"]) == pytest.approx(count[number] * factor, rel=1e-5)
            assert {rows[name][f"{segment} {other}"] for other in {"cm2", "voxels", "ml"} - {unit}} == {""}
    html = (out / "report.html").read_text(encoding="utf-8")
    assert all(f"front ({unit})" in html for unit in ("ml", "cm2", "voxels"))
    capsys.readouterr()
    assert run(arguments) == 0
    assert "3 of them before" in capsys.readouterr().out
    with (out / "report.csv").open(encoding="utf-8", newline="") as stream:
        assert {row["case"]: row for row in csv.DictReader(stream)} == rows


def test_python_gives_areas_and_keeps_what_is_unknown(flat_model, scans):
    film = medseg.segment(scans / "film.nii.gz", model=flat_model, device="cpu")
    for row in film.measures:
        assert row.area_cm2 == pytest.approx((film.labels.array == row.value).sum() * PIXEL_CM2)
        assert math.isnan(row.volume_ml)
    with pytest.warns(UserWarning, match="how large its pixels are"):
        image = medseg.read(scans / "picture.png")
    picture = medseg.segment(image, model=flat_model, device="cpu")
    assert (picture.image.size_unit, picture.labels.size_unit) == ("voxels", "voxels")
    assert all(math.isnan(row.area_cm2) and math.isnan(row.volume_ml) for row in picture.measures)


def test_scores_of_slices_are_areas_and_outlines_and_of_pictures_neither(tmp_path, capsys):
    square = np.zeros((30, 40), np.uint8)
    square[5:25, 10:30] = 1
    moved = np.roll(square, 2, axis=1)
    moved[5] = 0  # 20 pixels less
    shown, rows = {}, {}
    for case, ending in (("film", ".nii.gz"), ("picture", ".png")):
        pair = tmp_path / f"found{ending}", tmp_path / f"true{ending}"
        for path, mask in zip(pair, (moved, square), strict=True):
            if case == "film":
                write_image(path, Image(mask.T[None, :, :, None], np.diag([0.5, 0.8, 1.0, 1.0])))
            else:
                Picture.fromarray(mask).save(path)
        assert run(["evaluate", *map(str, pair), "--csv", str(tmp_path / f"{case}.csv")]) == 0
        shown[case] = capsys.readouterr().out
        with (tmp_path / f"{case}.csv").open(encoding="utf-8", newline="") as stream:
            rows[case] = next(csv.DictReader(stream))
    film, picture = rows["film"], rows["picture"]
    assert "area cm2" in shown["film"]
    assert "volume ml" not in shown["film"]
    assert not {"cm2", "ml"} & set(shown["picture"].split())
    assert float(film["area_cm2"]) == pytest.approx(380 * PIXEL_CM2)
    assert float(film["area_difference_cm2"]) == pytest.approx(-20 * PIXEL_CM2)
    assert float(film["hd95_mm"]) == pytest.approx(1.0)  # two columns of 0.5 mm
    assert float(film["dice"]) == float(picture["dice"])
    assert {picture[each] for each in ("hd95_mm", "surface_dice", "volume_ml", "area_cm2")} == {""}


def test_a_radiograph_is_measured_in_cm2_and_its_modality_is_told_to_a_model_for_another(flat_model, tmp_path, capsys):
    pytest.importorskip("pydicom", reason="the file is written by pydicom")
    from radiographs import write_radiograph

    tags = {"ImagerPixelSpacing": [0.4, 0.5], "EstimatedRadiographicMagnificationFactor": 1.25, "Modality": "DX"}
    path = write_radiograph(tmp_path / "chest.dcm", GREY.astype(np.uint16) * 16, **tags)
    out = tmp_path / "chest.seg.nrrd"
    assert run(["segment", str(path), "--model", flat_model, "-o", str(out), "--device", "cpu"]) == 0
    told = capsys.readouterr()
    (line,) = [line for line in told.out.splitlines() if "front" in line]
    count = counts_in(out)[0]
    assert f"{count * 0.4 * 0.5 / 1.25**2 / 100:.3f}" in line.split()
    assert "area cm2" in told.out
    said = " ".join(told.err.split())
    assert "the image is DX, and tiny-flat was made for MR" in said
    assert "divided by the estimated magnification, 1.25" in said


@pytest.mark.parametrize(("name", "unit"), [("film.nii.gz", "cm2"), ("picture.png", "voxels"), ("volume.nii.gz", "ml")])
def test_the_legend_of_a_preview_has_the_unit_of_the_image(flat_model, scans, name, unit, monkeypatch):
    from medseg.jobs.preview import draw

    result = medseg.segment(scans / name, model=flat_model, device="cpu")
    written, write = [], draw.ImageDraw.ImageDraw.text

    def listen(self, place, text, **more):
        written.append(text)
        write(self, place, text, **more)

    monkeypatch.setattr(draw.ImageDraw.ImageDraw, "text", listen)
    draw.draw_preview(result.image, result.labels, result.specs)
    assert {"ml", "cm2", "voxels"} & set(written) == {unit}
    assert any(text.endswith(" mm") for text in written) == (unit != "voxels")  # the scale bar
    front = (result.labels.array == 1).sum()
    size = result.image.size(front)
    assert (f"{size:.0f}" if unit == "voxels" or size >= 100 else f"{size:.2f}") in written


def test_a_segmentation_of_a_picture_says_that_nobody_knows_how_large_a_pixel_is(tmp_path, capsys):
    array = np.random.default_rng(0).integers(0, 255, (40, 30)).astype(np.uint8)
    Picture.fromarray(array).save(tmp_path / "a.png")
    output = tmp_path / "a.seg.nrrd"
    assert run(["segment", str(tmp_path / "a.png"), "-m", "tiny", "-o", str(output), "--device", "cpu"]) == 0
    assert not read_labels(output).spacing_known
    capsys.readouterr()
    assert run(["evaluate", str(output), str(output), "--csv", str(tmp_path / "scores.csv")]) == 0
    row = (tmp_path / "scores.csv").read_text().splitlines()[1].split(",")
    header = (tmp_path / "scores.csv").read_text().splitlines()[0].split(",")
    scores = dict(zip(header, row, strict=True))
    assert float(scores["dice"]) == 1
    assert scores["hd95_mm"] == scores["volume_ml"] == scores["area_cm2"] == ""
