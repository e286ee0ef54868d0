"""Which data sets TotalSegmentator's tasks are made of, and what their classes are called, in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

STEP_OVERLAP = 0.2  # of tasks that are run with windows 0.8 of their size apart
_USUAL_OVERLAP = 0.5


@dataclass(frozen=True, kw_only=True)
class Part:
    """One model of a task: its data set's number, and its classes, from value 1; "" is a class that does not count."""

    dataset: int
    classes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task.

    Attributes:
        name: as the program's option ``--task`` has it; with ``_fast`` (3 mm) and ``_fastest`` (6 mm).
        title: for people.
        modality: of its images, as DICOM names it.
        parts: in the order in which they overwrite each other.
        around: classes of the rough model in a box around which it works; none: everywhere.
        rough: the data set of the rough model that finds them.
        overlap: of its windows.
        all_folds: whether every fold is averaged; else the first alone counts.
    """

    name: str
    title: str
    modality: Literal["CT", "MR"] = "CT"
    parts: tuple[Part, ...]
    around: tuple[str, ...] = ()
    rough: int | None = None
    overlap: float = _USUAL_OVERLAP
    all_folds: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class that counts, from value 1."""
        return tuple(name for part in self.parts for name in part.classes if name)

    @property
    def datasets(self) -> frozenset[int]:
        """Numbers of the data sets whose models it needs, the rough one's too."""
        rough = set() if self.rough is None else {self.rough}
        return frozenset({part.dataset for part in self.parts} | rough)


def _sides(*names: str, first: str = "left") -> Iterator[str]:
    other = "right" if first == "left" else "left"
    for name in names:
        yield from (f"{name}_{first}", f"{name}_{other}")


def _vertebrae(lowest: str) -> tuple[str, ...]:
    spine = [
        *(f"L{n}" for n in (5, 4, 3, 2, 1)),
        *(f"T{n}" for n in range(12, 0, -1)),
        *(f"C{n}" for n in range(7, 0, -1)),
    ]
    return tuple(f"vertebrae_{name}" for name in ([lowest] if lowest else []) + spine)


_ABDOMEN = (
    "spleen", *_sides("kidney", first="right"), "gallbladder", "liver", "stomach", "pancreas",
    *_sides("adrenal_gland", first="right"),
)  # fmt: skip
_LOBES = (
    "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right", "lung_middle_lobe_right",
    "lung_lower_lobe_right",
)  # fmt: skip
_ORGANS = (
    *_ABDOMEN, *_LOBES, "esophagus", "trachea", "thyroid_gland", "small_bowel", "duodenum", "colon", "urinary_bladder",
    "prostate", *_sides("kidney_cyst"),
)  # fmt: skip
_CARDIAC = (
    "heart", "aorta", "pulmonary_vein", "brachiocephalic_trunk",
    *_sides("subclavian_artery", "common_carotid_artery", first="right"), *_sides("brachiocephalic_vein"),
    "atrial_appendage_left", "superior_vena_cava", "inferior_vena_cava", "portal_vein_and_splenic_vein",
    *_sides("iliac_artery", "iliac_vena"),
)  # fmt: skip
_LIMBS = tuple(_sides("humerus", "scapula", "clavicula", "femur", "hip"))
_MUSCLES = tuple(_sides("gluteus_maximus", "gluteus_medius", "gluteus_minimus", "autochthon", "iliopsoas"))
_RIBS = (
    *(f"rib_{side}_{number}" for side in ("left", "right") for number in range(1, 13)), "sternum", "costal_cartilages",
)  # fmt: skip
_MR_ORGANS = (
    *_ABDOMEN, *_sides("lung"), "esophagus", "small_bowel", "duodenum", "colon", "urinary_bladder", "prostate",
    "sacrum", "vertebrae", "intervertebral_discs", "spinal_cord", "heart", "aorta", "inferior_vena_cava",
    "portal_vein_and_splenic_vein", *_sides("iliac_artery", "iliac_vena"),
)  # fmt: skip
_MR_MUSCLES = (*_LIMBS, *_MUSCLES, "brain")


def _whole_body(lowest: str) -> tuple[tuple[str, ...], ...]:
    """Classes of the five models of the whole body in CT, whose second vertebra depends on the version."""
    return (
        _ORGANS,
        ("sacrum", *_vertebrae(lowest)),
        _CARDIAC,
        (*_LIMBS, "spinal_cord", *_MUSCLES, "brain", "skull"),
        _RIBS,
    )


def _parts(first: int, classes: tuple[tuple[str, ...], ...]) -> tuple[Part, ...]:
    return tuple(Part(dataset=first + number, classes=names) for number, names in enumerate(classes))


def _one(dataset: int, *classes: str) -> tuple[Part, ...]:
    return (Part(dataset=dataset, classes=classes),)


def _joined(parts: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return tuple(name for part in parts for name in part)


def _total(name: str, title: str, first: int, fast: int, fastest: int, lowest: str) -> tuple[Task, ...]:
    classes = _whole_body(lowest)
    sizes = (
        ("", "", _parts(first, classes)),
        ("_fast", ", 3 mm", _one(fast, *_joined(classes))),
        ("_fastest", ", 6 mm", _one(fastest, *_joined(classes))),
    )
    return tuple(
        Task(name=f"{name}{ending}", title=f"{title}{size}", parts=parts, overlap=STEP_OVERLAP)
        for ending, size, parts in sizes
    )


def _total_mr() -> tuple[Task, ...]:
    title, classes = "TotalSegmentator, MR", (_MR_ORGANS, _MR_MUSCLES)
    return tuple(
        Task(name=f"total_mr{ending}", title=f"{title}{size}", modality="MR", parts=parts, overlap=STEP_OVERLAP)
        for ending, size, parts in (
            ("", "", _parts(850, classes)),
            ("_fast", ", 3 mm", _one(852, *_joined(classes))),
            ("_fastest", ", 6 mm", _one(853, *_joined(classes))),
        )
    )


def all_tasks() -> dict[str, Task]:
    """Every task that is known, by its name."""
    tasks = (
        *_total("total", "TotalSegmentator", 291, 297, 298, "S1"),
        *_total("total_v3", "TotalSegmentator 3", 831, 836, 837, "L6"),
        *_total_mr(),
        Task(name="vertebrae_mr", title="Vertebrae, MR", modality="MR", parts=_one(756, "sacrum", *_vertebrae(""))),
        _cropped(
            "lung_vessels_LEGACY", "Vessels of the lung", _one(258, "lung_vessels", "lung_trachea_bronchia"), _LOBES
        ),
        _cropped("cerebral_bleed", "Intracerebral hemorrhage", _one(150, "intracerebral_hemorrhage"), ("brain",)),
        _cropped("hip_implant", "Hip implant", _one(260, "hip_implant"), tuple(_sides("femur", "hip"))),
        _cropped(
            "liver_vessels", "Vessels and tumours of the liver", _one(8, "liver_vessels", "liver_tumor"), ("liver",)
        ),
        _cropped(
            "pleural_pericard_effusion",
            "Pleural and pericardial effusion",
            _one(315, "", "pleural_effusion", "pericardial_effusion"),
            _LOBES,
            all_folds=True,
        ),
    )
    return {task.name: task for task in tasks}


def _cropped(
    name: str, title: str, parts: tuple[Part, ...], around: tuple[str, ...], *, all_folds: bool = False
) -> Task:
    """Make a task that works around what the 6 mm model of the whole body found."""
    return Task(name=name, title=title, parts=parts, around=around, rough=298, all_folds=all_folds)
