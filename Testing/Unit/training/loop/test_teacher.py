"""Finished models teach a new one: the loss is smallest where both agree, and a teacher must fit its student."""

from dataclasses import replace

import pytest
import torch
from monai.losses import DiceCELoss
from torch import nn

from medseg.bundles.write import write_bundle
from medseg.io.dataset import read_dataset
from medseg.networks import build_network
from medseg.spec.errors import JobError, ManifestError, ModelNotFound
from medseg.training.loop.teacher import Teacher, TeacherLoss, open_teacher, taught_by
from medseg.training.planning.plan import Recipe
from medseg.training.prepare import prepare
from medseg.training.train import train
from Unit.training.phantoms import a_config, a_manifest, a_plan

SEED = torch.Generator().manual_seed(0)


class Constant(nn.Module):
    """Answers the same everywhere."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits), requires_grad=False)

    def forward(self, image):
        return self.logits.view(1, -1, 1, 1, 1).expand(len(image), -1, *image.shape[2:])


@pytest.fixture
def sure(tmp_path):
    """A bundle that finds a ball everywhere, whatever it is shown."""
    manifest = a_manifest(model_id="sure")
    network = build_network(manifest.network, **manifest.arguments)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(torch.tensor([-4.0, 4.0]))
    return write_bundle(tmp_path / "sure", manifest, network, licence_text="CC0\n")


def test_the_loss_has_its_minimum_where_student_and_teacher_agree():
    logits = torch.randn(2, 3, 4, 5, 6, generator=SEED)
    agreeing = logits.clone().requires_grad_()
    TeacherLoss()(agreeing, logits.softmax(dim=1)).backward()
    assert agreeing.grad.abs().max() < 1e-6
    away = (logits + 0.3 * torch.randn(logits.shape, generator=SEED)).requires_grad_()
    TeacherLoss()(away, logits.softmax(dim=1)).backward()
    assert away.grad.abs().max() > 1e-3


def test_a_teacher_without_doubts_is_a_label():
    logits = torch.randn(2, 3, 4, 5, 6, generator=SEED)
    labels = torch.randint(3, (2, 1, 4, 5, 6), generator=SEED)
    certain = torch.zeros_like(logits).scatter_(1, labels, 1.0)
    truth = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True, squared_pred=True)
    torch.testing.assert_close(TeacherLoss()(logits, certain), truth(logits, labels))


def test_several_teachers_answer_with_their_mean_probability():
    teacher = Teacher([Constant([0.0, 0.0]), Constant([0.0, 40.0])])
    answer = teacher(torch.zeros(2, 1, 4, 4, 4))
    assert answer.shape == (2, 2, 4, 4, 4)
    torch.testing.assert_close(answer[:, 1], torch.full((2, 4, 4, 4), 0.75))


def test_a_student_learns_its_teachers_answer_as_far_as_the_plan_lets_it(sure, phantoms, tmp_path):
    files = list(read_dataset(phantoms).values())
    found = {}
    for share in (0.01, 1.0):
        plan = a_plan(steps=16, learning_rate=3e-2, validations=0, teachers=(str(sure.folder),), teacher_share=share)
        bundle = train(a_config(tmp_path / f"student-{share}"), plan, files)
        network = open_teacher([str(bundle.folder)], plan.model)
        found[share] = float(network(torch.randn(1, 1, 16, 16, 16, generator=SEED))[:, 1].mean())
    assert found[1.0] > 0.9  # all is ball, as the teacher says
    assert found[0.01] < 0.6  # a ball is at most a tenth of a phantom


def test_an_order_names_the_teacher_in_the_plan_and_in_the_models_history(sure, phantoms, tmp_path):
    name = str(sure.folder)
    plan, *_ = prepare(a_config(tmp_path / "student", dataset=phantoms, start=name, teachers=(name,)))
    assert plan.training.teachers == (str(sure.folder),)
    assert plan.model.training_data.endswith(". Taught by sure")
    assert (
        taught_by(plan.model, plan.training.teachers) == plan.model
    )  # a plan that is read again does not say it twice


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"spacing_mm": (2.0, 1.0, 1.0)}, "spacing_mm"),
        ({"intensity": replace(a_manifest().intensity, nonzero_only=True)}, "intensity"),
        ({"labels": (replace(a_manifest().labels[0], name="bell"),)}, "labels"),
    ],
)
def test_a_teacher_of_something_else_is_refused_before_anything_is_trained(sure, change, named):
    with pytest.raises(JobError, match=f"sure cannot teach phantom: they differ in {named}; choose a teacher"):
        taught_by(a_manifest(**change), [str(sure.folder)])


def test_a_teacher_that_is_not_there_is_named():
    with pytest.raises(ModelNotFound, match="no model is called 'nobody'"):
        taught_by(a_manifest(), ["nobody"])


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_that_is_no_part_is_refused(share):
    with pytest.raises(ManifestError, match="teacher_share: expected a part of the loss"):
        Recipe(teacher_share=share)
