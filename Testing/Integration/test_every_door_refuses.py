"""What can be refused before the network runs is refused before it is loaded, whichever door a case comes through.

The model of these tests has weights that cannot be read: whoever looks at them fails with other words.
"""

import csv

import numpy as np
import pytest
import SimpleITK

import medseg
from Integration.tiny import write_tiny_bundle
from medseg.cli.main import run
from medseg.imaging.image import Image
from medseg.io.read import read_image
from medseg.io.write import write_image
from medseg.jobs.batch.run_batch import segment_folder
from medseg.jobs.run.run_job import run_job
from medseg.jobs.worker.command import worker_environment
from medseg.jobs.worker.subprocess_worker import WorkerProcess
from medseg.spec.errors import Cancelled, JobError, MedSegError
from medseg.spec.events import Failed, Progress
from medseg.spec.job import Job, Options

MODEL = "unreadable"


@pytest.fixture(scope="module")
def broken_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken-models")
    write_tiny_bundle(folder, model_id=MODEL).weights_path.write_bytes(b"no weights at all")
    return folder


@pytest.fixture(autouse=True)
def _broken_models(broken_models, monkeypatch):
    monkeypatch.setenv("MEDSEG_MODELS", str(broken_models))


@pytest.fixture(scope="module")
def worker(broken_models):
    with WorkerProcess(environment=worker_environment() | {"MEDSEG_MODELS": str(broken_models)}) as started:
        yield started


@pytest.fixture
def doors(worker, capsys, tmp_path):
    """Each takes source, output, whether it may be replaced, and options; gives the refusal in words."""

    def command(source, output, overwrite, options):
        flags = [f"--{name.replace('_', '-')}={text(value)}" for name, value in options.items()]
        flags += ["--overwrite"] if overwrite else []
        assert run(["segment", str(source), "--model", MODEL, "--output", str(output), *flags]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("error: ")
        return line

    def python(source, output, overwrite, options):
        events = []
        with pytest.raises(MedSegError) as refused:
            medseg.segment(source, model=MODEL, output=output, overwrite=overwrite, on_event=events.append, **options)
        assert not any(event.stage == "windows" for event in events if isinstance(event, Progress))
        return str(refused.value)

    def python_image(source, output, overwrite, options):
        return python(read_image(source).image, output, overwrite, options)

    def python_several(source, output, overwrite, options):
        return python([source], output, overwrite, options)

    def in_worker(source, output, overwrite, options):
        options = Options(**{"roi_ras_mm" if name == "roi" else name: value for name, value in options.items()})
        job = Job(inputs=(str(source),), model=MODEL, output=str(output), overwrite=overwrite, options=options)
        events = list(worker.run(job))
        assert isinstance(events[-1], Failed)
        assert not events[-1].is_bug, events[-1].message
        assert not any(event.stage == "windows" for event in events if isinstance(event, Progress))
        return events[-1].message

    def batch(source, output, overwrite, options):
        options = Options(**{"roi_ras_mm" if name == "roi" else name: value for name, value in options.items()})
        listing = tmp_path / "cases.csv"
        with listing.open("w", newline="") as stream:
            csv.writer(stream).writerows([("case", "image", "output"), ("one", source, output.name)])
        try:
            report = segment_folder(listing, MODEL, output.parent, run=run_job, options=options, overwrite=overwrite)
        except MedSegError as refused:
            return str(refused)
        assert report.rows[0].status == "failed"
        return report.rows[0].error

    return {
        "command": command,
        "python": python,
        "python image": python_image,
        "python several": python_several,
        "worker": in_worker,
        "batch": batch,
    }


def text(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


FILES = ["command", "python", "python several", "worker", "batch"]  # doors that know where an image came from
DOORS = [*FILES, "python image"]


@pytest.mark.parametrize("door", DOORS)
def test_these_tests_would_notice_if_the_network_were_loaded(doors, door, scan_file, tmp_path):
    assert "not a whole safetensors file" in doors[door](scan_file, tmp_path / "labels.nrrd", False, {})


@pytest.mark.parametrize("door", FILES)
@pytest.mark.parametrize("way", ["itself", "another way there", "symbolic link", "hard link", "link to the input"])
def test_an_input_is_never_written_over(doors, door, way, scan_file, tmp_path):
    source, output = scan_file, scan_file
    if way == "another way there":
        (tmp_path / "folder").mkdir()
        output = tmp_path / "folder" / ".." / scan_file.name
    elif way != "itself":
        link = tmp_path / "link.nii.gz"
        link.hardlink_to(scan_file) if way == "hard link" else link.symlink_to(scan_file)
        source, output = (link, scan_file) if way == "link to the input" else (scan_file, link)
    before = scan_file.read_bytes()
    assert "an input and the output at once; choose another name" in doors[door](source, output, True, {})
    assert scan_file.read_bytes() == before


@pytest.mark.parametrize("door", FILES)
@pytest.mark.parametrize("names", ["folder", "slice"])
def test_a_slice_of_a_dicom_series_is_never_written_over(doors, door, names, tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    for number in range(2):
        SimpleITK.WriteImage(SimpleITK.Image(4, 4, SimpleITK.sitkInt16), str(folder / f"{number}.dcm"))
    output = (folder / "0.dcm").rename(folder / "0.mha")
    before = output.read_bytes()
    source = folder if names == "folder" else folder / "1.dcm"
    assert "an input and the output at once" in doors[door](source, output, True, {})
    assert output.read_bytes() == before


@pytest.mark.parametrize("door", DOORS)
def test_a_sheared_grid_is_refused_for_a_format_that_cannot_hold_it(doors, door, volume, tmp_path):
    affine = volume.affine.copy()
    affine[:3, 1] += 0.3 * affine[:3, 0]
    write_image(tmp_path / "sheared.nrrd", Image(volume.array, affine))
    words = doors[door](tmp_path / "sheared.nrrd", tmp_path / "labels.mha", False, {})
    assert "a .mha has perpendicular axes" in words
    assert not (tmp_path / "labels.mha").exists()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "abacus"}, "no device 'abacus'"),
        ({"roi": (5000.0, 5100.0, 5000.0, 5100.0, 5000.0, 5100.0)}, "misses the volume"),
    ],
)
def test_options_that_cannot_work_are_refused(doors, door, options, words, scan_file, tmp_path):
    assert words in doors[door](scan_file, tmp_path / "labels.nrrd", False, options)


@pytest.mark.parametrize("door", DOORS)
def test_an_axis_too_long_for_the_format_is_refused(doors, door, tmp_path):
    write_image(tmp_path / "long.nrrd", Image(np.zeros((1, 1, 1, 32768), np.uint8)))
    words = doors[door](tmp_path / "long.nrrd", tmp_path / "labels.nii.gz", False, {})
    assert "NIfTI-1 counts to 32767 voxels" in words


@pytest.mark.parametrize("door", DOORS)
def test_an_output_that_is_there_is_kept_unless_it_may_be_replaced(doors, door, scan_file, tmp_path):
    output = tmp_path / "labels.nrrd"
    output.write_text("precious")
    assert "--overwrite" in doors[door](scan_file, output, False, {})
    assert output.read_text() == "precious"


def test_channels_are_counted_before_they_are_put_on_one_grid(volume):
    """Who gives two images to a model of one channel is not sent to register them."""
    far = np.eye(4)
    far[0, 3] = 5000
    elsewhere = Image(volume.array, far @ volume.affine)
    with pytest.raises(JobError, match=r"takes 1 channel\(s\) .*, got 2; give one file a channel"):
        medseg.segment([volume, elsewhere], model=MODEL, device="cpu")


@pytest.mark.parametrize("door", ["command", "worker"])
@pytest.mark.parametrize(
    ("file", "name", "words"),
    [
        ("probabilities", "p.seg.nrrd", "probabilities are an image, not segments"),
        ("preview", "picture.bmp", "a preview's name ends in .png"),
        ("preview", "labels.nrrd", "the output and the preview at once"),
        ("probabilities", "scan.nii.gz", "an input and the probabilities at once"),
    ],
)
def test_names_of_further_outputs_are_refused(worker, door, file, name, words, scan_file, tmp_path, capsys):
    files = {"output": str(tmp_path / "labels.nrrd"), file: str(tmp_path / name)}
    before = scan_file.read_bytes()
    if door == "command":
        flags = [f"--{key}={value}" for key, value in files.items()]
        assert run(["segment", str(scan_file), "--model", MODEL, "--overwrite", *flags]) == 2
        assert words in capsys.readouterr().err
    else:
        events = list(worker.run(Job(inputs=(str(scan_file),), model=MODEL, overwrite=True, **files)))
        assert words in events[-1].message
    assert scan_file.read_bytes() == before


def test_a_result_is_never_saved_over_its_input(models_folder, monkeypatch, scan_file):
    monkeypatch.setenv("MEDSEG_MODELS", str(models_folder))
    before = scan_file.read_bytes()
    result = medseg.segment(scan_file, model="tiny", device="cpu")
    with pytest.raises(JobError, match="an input and the output at once"):
        result.save(scan_file, overwrite=True)
    assert scan_file.read_bytes() == before


def test_a_cancel_that_comes_while_results_are_written_leaves_none(models_folder, monkeypatch, scan_file, tmp_path):
    monkeypatch.setenv("MEDSEG_MODELS", str(models_folder))
    stages, out = [], tmp_path / "out"
    out.mkdir()

    def hear(event):
        if isinstance(event, Progress):
            stages.append(event.stage)

    options = Options(device="cpu", engine="torch")
    outputs = {"output": str(out / "labels.nrrd"), "preview": str(out / "p.png")}
    job = Job(inputs=(str(scan_file),), model="tiny", options=options, **outputs)
    with pytest.raises(Cancelled):
        run_job(job, hear, lambda: "write" in stages)  # "write" was told after the question before it
    assert stages[-1] == "write"
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["labels.dcm", "labels.labelmap.dcm"])
def test_a_dicom_result_of_what_is_not_dicom_is_refused(doors, door, name, scan_file, tmp_path):
    pytest.importorskip("highdicom", reason="without it another sentence comes first")
    words = doors[door](scan_file, tmp_path / name, False, {})
    assert "refers to the DICOM series it was made from" in words
    assert "choose .seg.nrrd" in words
    assert not (tmp_path / name).exists()
