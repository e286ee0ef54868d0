"""A training for another program: what it says, that it goes on where it was stopped, that nothing is half there."""

from dataclasses import replace

import pytest
import torch

from medseg.bundles.catalogue import scan
from medseg.bundles.weights import load_network
from medseg.bundles.write import write_bundle
from medseg.networks import build_network
from medseg.spec.errors import Cancelled, JobError, OutputExists
from medseg.spec.events import Finished, Learning, Noted, Progress, Warned
from medseg.spec.manifest import Code, LabelSpec
from medseg.spec.training_job import TrainingJob
from medseg.training.train_job import UNFINISHED, run_training, unfinished_folder
from Unit.training.phantoms import a_manifest, write_phantoms

BALL = LabelSpec(
    value=1,
    name="my ball",
    color=(1, 2, 3),
    category=Code("SCT", "123037004", "Anatomical Structure"),
    type=Code("SCT", "10200004", "Liver"),
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A bundle of another label set, to begin with."""
    manifest = a_manifest(label_names=("core", "shell"))
    torch.manual_seed(5)
    network = build_network(manifest.network, **manifest.arguments)
    return write_bundle(tmp_path_factory.mktemp("tiny") / "phantom", manifest, network, licence_text="CC0\n").folder


@pytest.fixture
def job(phantoms, tiny, tmp_path):
    return TrainingJob(
        dataset=str(phantoms),
        output=str(tmp_path / "models" / "my-model"),
        title="My model",
        start=str(tiny),
        labels=(BALL,),
        steps=4,
        device="cpu",
    )


def never():
    return False


def test_a_training_ends_with_a_model_that_bears_the_names_it_was_given(job, tmp_path):
    told = []
    run_training(job, told.append, never)
    (bundle,) = scan([tmp_path / "models"]).bundles.values()
    assert (bundle.manifest.model_id, bundle.manifest.title) == ("my-model", "My model")
    assert bundle.manifest.labels == (BALL,)
    load_network(bundle)
    assert isinstance(told[0], Learning)
    assert isinstance(told[-1], Finished)
    assert told[-1].outputs == (str(bundle.folder),)
    assert told[-2] == Progress("write", 0, 1)
    steps = [event for event in told if isinstance(event, Learning)]
    assert [event.part for event in steps] == sorted(event.part for event in steps)
    assert steps[-1].step == 4
    assert 0 <= steps[-1].best_dice <= 1
    assert any("start with the weights of phantom" in event.message for event in told if isinstance(event, Noted))
    assert Noted("4 cases train, 2 are held out and score the model") in told
    assert not [event for event in told if isinstance(event, Warned)]
    assert list((tmp_path / "models" / UNFINISHED).iterdir()) == []


def test_a_cancelled_training_leaves_no_model_and_the_same_job_goes_on_where_it_was(job, tmp_path):
    told = []
    with pytest.raises(Cancelled):
        run_training(job, told.append, lambda: any(isinstance(event, Learning) and event.step >= 2 for event in told))
    assert scan([tmp_path / "models"]).bundles == {}
    assert unfinished_folder(job).is_dir()
    told.clear()
    run_training(job, told.append, never)
    assert any(isinstance(event, Noted) and event.message.startswith("going on from step 3 ") for event in told)
    assert list(scan([tmp_path / "models"]).bundles) == ["my-model"]


def test_a_model_that_was_whole_but_not_in_its_place_is_put_there_without_training(job, tmp_path):
    run_training(job, lambda _event: None, never)
    made = unfinished_folder(job) / "my-model"
    made.parent.mkdir(parents=True)
    (tmp_path / "models" / "my-model").rename(made)
    told = []
    run_training(job, told.append, never)
    assert not any(isinstance(event, Learning) and event.step for event in told)
    assert list(scan([tmp_path / "models"]).bundles) == ["my-model"]


def test_what_is_asked_for_anew_under_a_name_begins_anew(job):
    assert unfinished_folder(job) == unfinished_folder(replace(job, seconds=60.0, device="auto"))
    others = [
        replace(job, title="my model!"),
        replace(job, seed=1),
        replace(job, labels=()),
        replace(job, start=None, network="monai:SegResNet"),
    ]
    assert len({unfinished_folder(each) for each in (job, *others)}) == 5


def test_when_other_cases_are_held_out_than_before_it_begins_anew_and_says_so(job, tmp_path):
    told = []
    with pytest.raises(Cancelled):
        run_training(job, told.append, lambda: any(isinstance(event, Learning) and event.step >= 2 for event in told))
    table = tmp_path / "subjects.csv"
    table.write_text("case,subject\n" + "".join(f"image_{n},{n // 3}\n" for n in range(6)))
    told.clear()
    run_training(replace(job, subjects=str(table)), told.append, never)
    assert any("it begins anew" in event.message for event in told if isinstance(event, Warned))
    assert not any(event.message.startswith("going on") for event in told if isinstance(event, Noted))
    assert Noted("3 cases train, 3 are held out and score the model") in told
    assert list(scan([tmp_path / "models"]).bundles) == ["my-model"]


def test_a_model_that_is_there_is_never_replaced(job, tmp_path):
    (tmp_path / "models" / "my-model").mkdir(parents=True)
    with pytest.raises(OutputExists, match="give the new model another name"):
        run_training(job, lambda _event: None, never)


def test_one_case_is_too_few(job, tmp_path):
    (tmp_path / "one").mkdir()
    with pytest.raises(JobError, match="at least 2 labelled cases, got 1"):
        run_training(replace(job, dataset=str(write_phantoms(tmp_path / "one", 1))), lambda _event: None, never)


def test_of_one_subject_nothing_is_held_out_and_that_is_said(job, tmp_path):
    table = tmp_path / "subjects.csv"
    table.write_text("case,subject\n" + "".join(f"image_{n},one\n" for n in range(6)))
    told = []
    run_training(replace(job, subjects=str(table)), told.append, never)
    (warning,) = [event.message for event in told if isinstance(event, Warned)]
    assert "all cases are of one subject" in warning
