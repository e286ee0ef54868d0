"""The tags that tell one acquisition of a series from another, and the values slices have in them."""

from collections.abc import Sequence
from dataclasses import dataclass

from medseg.io.dicom_slice import DicomSlice


@dataclass(frozen=True)
class Key:
    """A tag, or several that say it together, whose value is the same in all slices of one acquisition."""

    tags: tuple[str, ...]  # the first that has a value counts
    name: str
    is_time: bool = False  # may also differ from slice to slice within one acquisition


KEYS = (
    Key(("0020|0100", "0020|9128"), "Temporal Position"),
    Key(("0018|0086",), "Echo Number"),
    Key(("0018|0081", "0018|9082"), "Echo Time"),
    Key(("0018|9087", "0019|100c", "0043|1039", "2001|1003"), "b-value"),
    Key(("0018|9089",), "Diffusion Gradient Orientation"),
    Key(("0018|9075",), "Diffusion Directionality"),
    Key(("0008|0008",), "Image Type"),
    Key(("0008|9007",), "Frame Type"),
    Key(("0008|9208",), "Complex Image Component"),
    Key(("0020|9056",), "Stack ID"),
    Key(("0018|0082",), "Inversion Time"),
    Key(("0018|0080",), "Repetition Time"),
    Key(("0018|1314",), "Flip Angle"),
    Key(("0018|0024",), "Sequence Name"),
    Key(("0018|0022",), "Scan Options"),
    Key(("0018|0060",), "KVP"),
    Key(("0018|1210",), "Convolution Kernel"),
    Key(("0018|0010",), "Contrast Agent"),
    Key(("0018|9241", "0020|9241"), "Cardiac Phase"),
    Key(("2001|1008",), "Phase Number"),
    Key(("0008|0060",), "Modality"),
    Key(("0008|0016",), "SOP Class"),
    Key(("0010|0020",), "Patient ID"),
    Key(("0020|000d",), "Study"),
    Key(("0020|0011",), "Series Number"),
    Key(("0008|103e",), "Series Description"),
    Key(("0020|0052",), "Frame of Reference"),
    Key(("0054|1300",), "Frame Reference Time"),
    Key(("0020|0012",), "Acquisition Number"),
    Key(("0018|1060", "0020|9153"), "Trigger Time", is_time=True),
    Key(("0008|002a", "0018|9074"), "Acquisition Date and Time", is_time=True),
    Key(("0008|0032",), "Acquisition Time", is_time=True),
    Key(("0008|0033",), "Content Time", is_time=True),
    Key(("0008|0031",), "Series Time"),
    Key(("0008|0013",), "Creation Time", is_time=True),
)
PRIVATE_TAGS = {  # that are read, and who has reserved them; the same number of another maker means something else
    "0019|100a": "SIEMENS MR HEADER",
    "0019|100c": "SIEMENS MR HEADER",
    "0043|1039": "GEMS_PARM_01",
    "2001|1003": "Philips Imaging DD 001",
    "2001|1008": "Philips Imaging DD 001",
}
_GE_FLAG = 100_000  # what GE adds to some b-values is a multiple of it
_DATES = {"0008|0032": "0008|0022", "0008|0033": "0008|0023"}
Value = tuple[tuple[float, ...], str]  # numbers first, so that values are in their order; then the words


def keys_of(pieces: Sequence[DicomSlice]) -> list[Key]:
    """The tags that tell acquisitions apart, with the dimensions that these files name themselves."""
    named = sorted({tag for piece in pieces for tag in piece.tags if tag.startswith("dimension ")})
    return [*KEYS, *(Key((tag,), f"Dimension ({tag[10:].replace('|', ',')})") for tag in named)]


def value_of(piece: DicomSlice, key: Key) -> Value:
    """What a slice has there; ((), "") where it has nothing."""
    tag = next((tag for tag in key.tags if piece.tags.get(tag)), None)
    if tag is None:
        return (), ""
    text = piece.tags[tag]
    dated = piece.tags.get(_DATES.get(tag, ""), "")
    words = [word.strip() for word in (f"{dated}\\{text}" if dated else text).split("\\")]
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError:
        return (), text
    if tag == "0043|1039":  # beside its b-value GE stores other things
        numbers = (numbers[0] % _GE_FLAG,)
    return numbers, ""


def shown(value: Value) -> str:
    """A value as words."""
    numbers, text = value
    return text or " ".join(f"{number:.10g}" for number in numbers) or "nothing"
