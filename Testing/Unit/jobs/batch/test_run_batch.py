"""A batch whose cases are done by a function of the test: resuming, failing, refusing, reporting."""

import csv
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.io.read import read_labels
from medseg.io.write import write_image
from medseg.jobs.batch.run_batch import segment_folder
from medseg.spec.errors import Cancelled, ImageError, JobError, OutputExists
from medseg.spec.events import Finished, Warned
from medseg.spec.job import Options

pytest.importorskip("torch", reason="a bundle is written with its network")

from Integration.tiny import write_tiny_bundle

VOXEL_ML = 0.5 * 0.5 * 2 / 1000


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_tiny_bundle(folder)
    write_tiny_bundle(folder, model_id="other")
    return folder


@pytest.fixture
def made(models, monkeypatch, tmp_path):
    """Four scans, and a way to run them that keeps count."""
    monkeypatch.setenv("MEDSEG_MODELS", str(models))
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in "abcd":
        (scans / f"{name}.nii.gz").write_bytes(b"scan")
    it = SimpleNamespace(scans=scans, out=tmp_path / "out", ran=[], broken={}, told=[])

    def run(job, on_event, _cancelled):
        (scan,) = job.inputs
        name = scan.rpartition("/")[2][0]
        it.ran.append(name)
        if name in it.broken:
            raise it.broken[name]
        labels = np.zeros((1, 4, 4, 4), np.uint8)
        labels[0, 0] = 1
        labels[0, 1, : "abcd".index(name)] = 2
        write_image(it.path(job.output), Image(labels, np.diag([0.5, 0.5, 2, 1])))
        on_event(Warned(f"odd <{name}>"))
        on_event(Finished((job.output,), "a <processor>", 1.0, engine=f"{job.options.engine} 1.0"))

    it.path = type(scans)
    it.run = run
    it.go = lambda model="tiny", out=it.out, **more: segment_folder(
        scans, model, out, run=it.run, suffix=".nii.gz", on_case=lambda *told: it.told.append(told), **more
    )
    return it


def table(report):
    with report.csv_path.open(encoding="utf-8", newline="") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


def outputs(folder):
    return sorted(path.name for path in folder.iterdir())


def test_every_case_has_its_labels_a_line_and_its_millilitres(made):
    report = made.go()
    assert made.ran == list("abcd")
    assert report.is_complete
    assert outputs(made.out) == ["a.nii.gz", "b.nii.gz", "c.nii.gz", "d.nii.gz", "report.csv", "report.html"]
    for name, row in table(report).items():
        labels = read_labels(made.out / row["output"]).array
        for value, label in ((1, "front"), (2, "back")):
            assert float(row[f"{label} ml"]) == pytest.approx((labels == value).sum() * VOXEL_ML)
        assert row["status"] == "done"
        assert json.loads(row["warnings"]) == [f"odd <{name}>"]
    assert [(number, total, row.case, row.status) for number, total, row in made.told[:3]] == [
        (1, 4, "a", "running"),
        (1, 4, "a", "done"),
        (2, 4, "b", "running"),
    ]


@pytest.mark.parametrize(
    "error", [ImageError("b: not whole"), OSError(28, "no space"), RuntimeError("shape"), MemoryError("gone")]
)
def test_a_failed_case_never_stops_the_rest_and_is_tried_again(made, error):
    made.broken["b"] = error
    report = made.go()
    assert made.ran == list("abcd")
    assert (report.count("done"), report.count("failed"), report.is_complete) == (3, 1, False)
    assert str(error) in table(report)["b"]["error"]
    assert not (made.out / "b.nii.gz").exists()
    made.broken.clear()
    made.ran.clear()
    again = made.go()
    assert made.ran == ["b"]
    assert (again.is_complete, again.skipped) == (True, 3)
    assert table(again)["b"]["error"] == ""
    assert list(table(again)) == list("abcd")


def test_nothing_is_done_twice(made):
    first = made.go()
    before = {path.name: path.read_bytes() for path in made.out.iterdir()}
    made.ran.clear()
    again = made.go()
    assert made.ran == []
    assert again.rows == first.rows
    assert {path.name: path.read_bytes() for path in made.out.iterdir()} == before


def test_the_engine_that_was_really_used_is_in_both_reports(made):
    report = made.go(options=Options(engine="openvino"))
    assert {row["engine"] for row in table(report).values()} == {"openvino 1.0"}
    assert "<td>openvino 1.0</td>" in report.html_path.read_text(encoding="utf-8")
    assert made.go(options=Options(engine="openvino")).skipped == 4


def test_a_batch_that_was_begun_before_there_were_engines_goes_on(made):
    path = made.go().csv_path
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [{name: cell for name, cell in row.items() if name != "engine"} for row in csv.DictReader(stream)]
    assert all("engine" not in json.loads(row["options"]) for row in rows)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    made.ran.clear()
    assert made.go().skipped == 4
    assert made.ran == []


@pytest.mark.parametrize(
    "change", [{"model": "other"}, {"options": Options(mirror=False)}, {"options": Options(engine="torch")}]
)
def test_results_of_another_recipe_are_kept_unless_overwriting_is_allowed(made, change):
    made.go()
    report = (made.out / "report.csv").read_bytes()
    made.ran.clear()
    with pytest.raises(OutputExists, match=r"a\.nii\.gz was made .* \(4 such files\); choose another output folder"):
        made.go(**change)
    assert made.ran == []
    assert (made.out / "report.csv").read_bytes() == report
    assert made.go(**change, overwrite=True).is_complete
    assert made.ran == list("abcd")


def test_other_weights_of_the_same_model_are_another_recipe(made, tmp_path, monkeypatch):
    made.go()
    folder = tmp_path / "newer"
    folder.mkdir()
    write_tiny_bundle(folder)
    weights = folder / "tiny" / "models" / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    monkeypatch.setenv("MEDSEG_MODELS", str(folder))
    with pytest.raises(OutputExists):
        made.go()


def test_a_result_that_was_removed_is_made_again(made):
    made.go()
    (made.out / "c.nii.gz").unlink()
    made.ran.clear()
    assert made.go().is_complete
    assert made.ran == ["c"]


def test_a_file_of_somebody_else_is_kept(made):
    made.out.mkdir()
    (made.out / "b.nii.gz").write_text("drawn by hand")
    with pytest.raises(OutputExists, match=r"b\.nii\.gz"):
        made.go()
    assert (made.out / "b.nii.gz").read_text() == "drawn by hand"


def test_a_file_that_comes_while_its_case_runs_is_kept(made):
    run = made.run

    def meanwhile(job, on_event, cancelled):
        run(job, on_event, cancelled)
        (made.out / "c.nii.gz").write_text("drawn by hand")

    made.run = meanwhile
    report = made.go()
    assert report.rows[2].status == "failed"
    assert (made.out / "c.nii.gz").read_text() == "drawn by hand"


def test_cancel_stops_after_the_case_and_the_next_batch_goes_on(made):
    made.broken["c"] = Cancelled("stopped")
    report = made.go()
    assert made.ran == list("abc")
    assert [row.status for row in report.rows] == ["done", "done", "cancelled"]
    assert not report.is_complete
    made.broken.clear()
    made.ran.clear()
    assert made.go().is_complete
    assert made.ran == ["c", "d"]


def test_no_case_begins_when_cancel_was_said_before(made):
    report = made.go(cancelled=lambda: len(made.ran) == 2)
    assert made.ran == ["a", "b"]
    assert len(report.rows) == 2


def test_an_interrupt_goes_on_to_the_caller_and_leaves_what_is_done(made):
    made.broken["b"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        made.go()
    assert outputs(made.out) == ["a.nii.gz", "report.csv", "report.html"]
    made.broken.clear()
    made.ran.clear()
    assert made.go().is_complete
    assert made.ran == list("bcd")


def test_the_report_tells_what_runs_before_it_is_done(made):
    run, seen = made.run, []

    def look(job, on_event, cancelled):
        with (made.out / "report.csv").open(encoding="utf-8", newline="") as stream:
            seen.append([row["status"] for row in csv.DictReader(stream)])
        run(job, on_event, cancelled)

    made.run = look
    made.go()
    assert seen == [["done"] * n + ["running"] for n in range(4)]


def test_a_batch_killed_between_result_and_report_makes_that_result_again(made):
    made.go()
    path = made.out / "report.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("\nd,done,", "\nd,running,"), encoding="utf-8")
    (made.out / ".unfinished").mkdir()
    (made.out / ".unfinished" / "output.nii.gz").write_text("half of it")
    made.ran.clear()
    assert made.go().is_complete
    assert made.ran == ["d"]
    assert not (made.out / ".unfinished").exists()


def test_the_folder_may_move_with_its_images(made, tmp_path):
    made.go()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    made.scans.rename(moved / "scans")
    made.out.rename(moved / "out")
    made.ran.clear()
    report = segment_folder(moved / "scans", "tiny", moved / "out", run=made.run, suffix=".nii.gz")
    assert made.ran == []
    assert report.skipped == 4


@pytest.mark.parametrize("name", ["report.csv", "report.html"])
def test_a_report_that_is_none_of_ours_is_kept(made, name):
    made.out.mkdir()
    (made.out / name).write_text("year,result\n2026,good\n")
    with pytest.raises(OutputExists, match=name):
        made.go()
    assert made.ran == []
    assert (made.out / name).read_text() == "year,result\n2026,good\n"


def test_the_folder_of_the_images_is_no_place_for_results(made):
    with pytest.raises(JobError, match="is the folder of the images"):
        made.go(out=made.scans)


def test_a_report_that_is_in_use_is_written_the_next_time(made, monkeypatch):
    path, replace = type(made.out), type(made.out).replace
    locked = [3]

    def busy(self, target):
        if target.name == "report.csv" and locked[0] > 0:
            locked[0] -= 1
            raise PermissionError(13, "in use")
        return replace(self, target)

    monkeypatch.setattr(path, "replace", busy)
    report = made.go()
    assert list(table(report)) == list("abcd")
    locked[0] = 99
    (made.out / "a.nii.gz").unlink()
    with pytest.raises(JobError, match=r"report\.csv cannot be written \(in use\)"):
        made.go()
    assert (made.out / "a.nii.gz").is_file()


@pytest.mark.parametrize("way", ["itself", "hard link"])
def test_no_result_takes_the_place_of_the_image_of_another_case(made, way):
    output = "b.nii.gz"
    if way == "hard link":
        output = "link.nii.gz"
        (made.scans / output).hardlink_to(made.scans / "b.nii.gz")
    (made.scans / "list.csv").write_text(f"case,image,output\na,a.nii.gz,{output}\nb,b.nii.gz,\n")
    before = (made.scans / "b.nii.gz").read_bytes()
    with pytest.raises(JobError, match=f"{output} is the image of 'b' and the output of 'a' at once; choose another"):
        segment_folder(made.scans / "list.csv", "tiny", made.scans, run=made.run, suffix=".nrrd", overwrite=True)
    assert made.ran == []
    assert (made.scans / "b.nii.gz").read_bytes() == before


class Page(HTMLParser):
    """Reads a page back: texts and links; refuses what is loaded from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.links, self.open = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert tag not in {"script", "img", "iframe"}
        assert "src" not in dict(attributes)
        if tag == "a":
            self.links.append(dict(attributes)["href"])
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_the_page_shows_every_case_escapes_everything_and_leads_to_the_results(made):
    (made.scans / "b.nii.gz").rename(made.scans / "b <script>alert(1)</script> & #1.nii.gz".replace("/", "%"))
    made.broken["c"] = ImageError("<b>bad</b> & broken")
    report = made.go()
    text = report.html_path.read_text(encoding="utf-8")
    page = Page(text)
    assert "4 cases, 3 done, 1 failed. For research; not for diagnosis." in page.texts
    assert "b <script>alert(1)<%script> & #1" in page.texts
    assert "<b>bad</b> & broken" in page.texts
    assert "a <processor>" in page.texts
    assert "http" not in re.sub(r"SHA-256.*", "", text)
    assert len(page.links) == 3
    for link in page.links:
        assert (made.out / unquote(link)).is_file()
