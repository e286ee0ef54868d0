"""What somebody hands over for import: a model of nnU-Net, a MONAI bundle, or weights alone."""

import zipfile
from pathlib import Path, PurePosixPath

from medseg.bundles.importing.archive import is_archive
from medseg.spec.errors import ManifestError
from medseg.spec.imported import SourceKind

_PLANS, _CONFIGS = "plans.json", "configs"
_DEPTH = 3  # folders in which the files of a model may lie


def kind_of(path: Path) -> SourceKind:
    """Tell by the names of the files, of which none is opened.

    A file of ``torch.save`` is a ZIP archive too, but holds neither plans nor configurations.

    Raises:
        ManifestError: when there is no such file or folder, or a folder holds neither kind of model.
    """
    if not path.exists():
        msg = f"{path}: there is no such file or folder; check the path of the model"
        raise ManifestError(msg)
    names = _names_in_folder(path) if path.is_dir() else _names_in_archive(path)
    if _PLANS in {name.name for name in names}:
        return "nnunet"
    if any(_CONFIGS in name.parts[:-1] for name in names) or (path.is_file() and path.suffix.lower() == ".zip"):
        return "monai"  # whose reader says what is wrong with an archive of neither kind
    if path.is_dir():
        msg = (
            f"{path} holds no model that is known: nnU-Net v2 has a {_PLANS} and a MONAI bundle a folder {_CONFIGS!r}; "
            "give the folder of one of them, or a file of weights"
        )
        raise ManifestError(msg)
    return "weights"


def configurations_in(path: Path) -> list[str]:
    """Trained configurations of nnU-Net in a folder or an archive, by the names of their folders, sorted."""
    names = _names_in_folder(path) if path.is_dir() else _names_in_archive(path)
    return sorted({name.parent.name.rpartition("__")[2] for name in names if name.name == _PLANS and name.parent.name})


def datasets_in(path: Path) -> list[str]:
    """Folders of nnU-Net's data sets in a folder or an archive in which a configuration was trained, sorted."""
    names = _names_in_folder(path) if path.is_dir() else _names_in_archive(path)
    return sorted({name.parent.parent.name for name in names if name.name == _PLANS and name.parent.parent.name})


def _names_in_folder(path: Path) -> list[PurePosixPath]:
    patterns = ["/".join(["*"] * depth) for depth in range(1, _DEPTH + 2)]
    return [PurePosixPath(found.relative_to(path).as_posix()) for pattern in patterns for found in path.glob(pattern)]


def _names_in_archive(path: Path) -> list[PurePosixPath]:
    if not is_archive(path):
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return [PurePosixPath(name) for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError):
        return []  # who reads it says what is wrong
