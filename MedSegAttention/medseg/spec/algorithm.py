"""What made a segmentation, as a DICOM file names it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """A model and the program that ran it.

    Attributes:
        name: title of the model.
        model_id: its id.
        version: of the model.
        weights_sha256: of its weights, in hexadecimal; "" where they could not be read.
        program: name and version of the program.
        edited: whether a person may have changed what it answered.
    """

    name: str
    model_id: str
    version: str
    weights_sha256: str = ""
    program: str = "MedSegAttention"
    edited: bool = False
