"""The page about DICOM SEG says what the programs do that read it."""

import shutil

import pytest

from dicom_page import HEADINGS, PAGE, report_line, rows

pytestmark = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is needed (package dicom3tools)")


def test_the_table_is_what_highdicom_dcmqi_and_this_program_read_now(tmp_path):
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert lines[0] == f"| {' | '.join(HEADINGS)} |"
    assert lines[2:] == [f"| {' | '.join(cells)} |" for cells in rows(tmp_path)], "run: python Testing/dicom_page.py"


def test_the_millilitres_of_the_report_are_those_that_dcmqi_reads_now(tmp_path):
    line = report_line(tmp_path)
    written, read = (part.partition("mL")[0] for part in line.split(": ")[1:3])
    assert written == read
    assert line in PAGE.read_text(encoding="utf-8")
