"""Folds never share a subject."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.spec.errors import JobError
from medseg.training.planning.folds import make_folds, read_subjects


@given(st.lists(st.integers(0, 12), min_size=4, max_size=60), st.integers(2, 4), st.integers(0, 99))
def test_folds_share_no_subject_and_hold_out_every_case_once(owners, count, seed):
    subjects = {f"case{n}": f"p{owner}" for n, owner in enumerate(owners)}
    if len(set(owners)) < count:
        with pytest.raises(JobError, match="choose another number"):
            make_folds(list(subjects), count, subjects=subjects, seed=seed)
        return
    folds = make_folds(list(subjects), count, subjects=subjects, seed=seed)
    assert sorted(name for fold in folds for name in fold["val"]) == sorted(subjects)
    for fold in folds:
        assert fold["val"]
        assert sorted([*fold["train"], *fold["val"]]) == sorted(subjects)
        assert not {subjects[name] for name in fold["train"]} & {subjects[name] for name in fold["val"]}


def test_single_cases_make_folds_of_equal_size_that_only_the_seed_changes():
    names = [f"c{n:02d}" for n in range(22)]
    folds = make_folds(names, 5)
    assert sorted(len(fold["val"]) for fold in folds) == [4, 4, 4, 5, 5]
    assert folds == make_folds(names[::-1], 5)
    assert folds != make_folds(names, 5, seed=1)


def test_subjects_come_from_names_or_from_a_table(tmp_path):
    names = ["p1_left", "p1_right", "p2_left"]
    expected = {"p1_left": "p1", "p1_right": "p1", "p2_left": "p2"}
    assert read_subjects(r"^(p\d)_", names) == expected
    assert read_subjects(r"^p\d", names) == expected
    table = tmp_path / "who.csv"
    table.write_text("case,subject\n" + "\n".join(f"{case},{who}" for case, who in expected.items()))
    assert read_subjects(str(table), names) == expected


def test_cases_without_a_subject_are_named(tmp_path):
    with pytest.raises(JobError, match=r"1 cases have no subject by .*: odd"):
        read_subjects(r"^(p\d)_", ["p1_left", "odd"])
    with pytest.raises(JobError, match=r"neither a \.csv file nor a regular expression"):
        read_subjects("(", ["a"])
    with pytest.raises(JobError, match="columns case and subject"):
        read_subjects(str(tmp_path / "missing.csv"), ["a"])
