"""The same head is registered the same way every time, whatever the process does beside it."""

import numpy as np
import pytest
from SimpleITK import ProcessObject

from medseg.imaging.image import Image
from medseg.imaging.registration import Template, register
from medseg.io.read import read_image, read_labels


@pytest.fixture
def itk_threads():
    """Sets ITK's number of threads of the whole process; it is afterwards as it was."""
    before = ProcessObject.GetGlobalDefaultNumberOfThreads()
    yield ProcessObject.SetGlobalDefaultNumberOfThreads
    ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def test_the_same_head_gives_the_same_transform_bit_for_bit_with_any_number_of_threads(checkout, itk_threads):
    folder = checkout / "Models" / "templates" / "colin27"
    template = Template(read_image(folder / "t1.nii.gz").image, read_labels(folder / "regions.nii.gz"))
    moved = np.eye(4)
    moved[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    moved[:3, 3] = 7.0, -11.0, 5.0
    patient = Image(template.image.array, moved @ template.image.affine)
    found = []
    for threads in (1, 5, 5):
        itk_threads(threads)
        found.append(register(patient, template))
        assert ProcessObject.GetGlobalDefaultNumberOfThreads() == threads  # the process keeps its own
    assert len({one.to_patient.tobytes() for one in found}) == 1
    assert len({one.quality for one in found}) == 1
