"""Errors a user can act on: one sentence with the rule, the value received and the next step."""


class MedSegError(Exception):
    """Base of every error that is the user's to mend; anything else is a bug of ours.

    Args:
        problem: what is wrong, one sentence.
        field: path of the field of a record or document that is wrong, e.g. "labels[1].name"; it comes first in the
            text. Empty: it is not about one field.
    """

    def __init__(self, problem: str = "", *, field: str = "") -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.problem = problem
        self.field = field


class ImageError(MedSegError):
    """An image cannot be read, or what it says about itself cannot be true."""


class ManifestError(MedSegError):
    """A bundle's metadata.json is missing, malformed or says something impossible."""


class WeightsError(MedSegError):
    """A bundle's weights are missing, damaged or do not fit its network."""


class FieldError(MedSegError):
    """A field of a JSON document is unknown, missing, of a wrong type or impossible; ``field`` is its path."""


class ModelNotFound(MedSegError):
    """No bundle in the catalogue has the requested id."""


class JobError(MedSegError):
    """A request is inconsistent: a wrong option value or options that exclude each other."""


class OutputExists(MedSegError):
    """A result would replace a file and overwriting was not allowed."""


class MissingDependency(MedSegError):
    """An optional package is needed; the message is the command to type."""


class Cancelled(MedSegError):
    """The user asked to stop."""


# What torch, VTK's wrapping, numpy and the readers raise: where a bug that one image shows must not cost a result that
# took minutes, or the images after it.
EXPECTED_ERRORS: tuple[type[Exception], ...] = (
    MedSegError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
