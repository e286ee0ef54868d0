"""The text a user sends when something fails: versions, settings and the log, without names of people or scans."""

import getpass
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from medseg.desktop.state.preferences import Preferences
from medseg.io.atomic import replacing
from medseg.spec.events import Device
from medseg.spec.places import home_folder

_PACKAGES = ("torch", "safetensors", "numpy", "scipy", "SimpleITK", "vtk")
_SHORTEST_NAME = 3  # a shorter user name is a part of too many words

# Ends of the names of scans; what stands before them may name a patient.
_SCAN = r"(?:seg\.nrrd|nii\.gz|nii|nrrd|nhdr|mha|mhd|dcm|hdr|img|gipl|mgz|mgh|mrb|mrml|h5|tiff?|png|jpe?g)"
_WORD = re.compile(r"[^\s'\"<>|*?]+")
_ENDS_AS_SCAN = re.compile(rf"\.{_SCAN}([:,;)\]}}.!?].*)?$", re.IGNORECASE)
_SCAN_QUOTED = re.compile(rf"(['\"])[^'\"\n]*\.{_SCAN}\1", re.IGNORECASE)


def collect_versions(program: Mapping[str, str]) -> dict[str, str]:
    """Versions of what matters; nothing is imported for it.

    Args:
        program: those that the caller knows: of Slicer and of this program.
    """
    packages = dict.fromkeys(_PACKAGES, "not installed")
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            packages[name] = metadata.version(name)
    return {
        **program,
        "Python": f"{platform.python_version()} ({sys.implementation.name})",
        "system": platform.platform(),
        "processors": str(os.cpu_count()),
        **packages,
    }


def support_report(
    versions: Mapping[str, str],
    preferences: Preferences,
    log: str,
    *,
    settings: Mapping[str, str] | None = None,
    devices: Sequence[Device] = (),
    packages: str = "",
    hide: Callable[[str], str] = str,
) -> str:
    """Put everything together.

    Args:
        versions: from ``collect_versions``.
        preferences: of this computer.
        log: the text of the log.
        settings: what the panel's controls hold, no names of nodes.
        devices: the last that a worker named; empty: not asked for.
        packages: the installer's one line about what is installed.
        hide: takes the names of nodes out of the log, see ``medseg.desktop.panel.session``.

    Returns:
        Text in which the home folder is ``~``, the user ``user``, and names of scans and nodes are gone.
    """
    devices_text = {device.name: _describe(device) for device in devices}
    sections = [
        ("MedSegAttention support report", [packages] if packages else []),
        ("Versions", _lines(versions)),
        ("Devices", _lines(devices_text) or ["not looked for"]),
        ("Settings of this computer", _lines(_preferences(preferences))),
        ("Settings of the panel", _lines(settings or {}) or ["all as the model says"]),
        ("Log", hide(log).splitlines() or ["empty"]),
    ]
    text = "\n\n".join("\n".join([title, "-" * len(title), *lines]) for title, lines in sections)
    return without_names(text) + "\n"


def without_names(text: str) -> str:
    """Take people and scans out of a text: home folder, user name, and every file that may be a scan."""
    text = _SCAN_QUOTED.sub(r"\1<scan>\1", text)
    text = _WORD.sub(_without_scan, text)
    home = home_folder()
    written = {str(home), home.as_posix(), str(home.resolve()), str(home).replace("\\", "\\\\")}
    homes = [each for each in written if len(each) > 1]  # a service's home may be the root of everything
    for each in sorted(homes, key=len, reverse=True):
        text = re.sub(re.escape(each) + r"(?![\w-])", "~", text, flags=re.IGNORECASE if os.name == "nt" else 0)
    names = {home.name}
    with suppress(OSError, KeyError, ImportError):  # a container's user may have no name; the classes differ
        names.add(getpass.getuser())
    names = {name for name in names if len(name) >= _SHORTEST_NAME and name != "user"}
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "user", text, flags=re.IGNORECASE)
    return text


def _without_scan(word: re.Match[str]) -> str:
    found = _ENDS_AS_SCAN.search(word[0])
    return word[0] if found is None else f"<scan>{found[1] or ''}"


def write_support(path: Path, report: str, *, overwrite: bool = False) -> None:
    """Write the report as one text file; it appears whole or not at all.

    Raises:
        JobError: if the folder is missing or cannot be written to.
        OutputExists: if a file is there and overwriting was not allowed.
    """
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_text(report, encoding="utf-8")


def _preferences(preferences: Preferences) -> dict[str, str]:
    return {
        "interpreter": preferences.python or "Slicer's own",
        "wheel folder": preferences.wheel_folder or "none",
        "worker stays ready": f"{preferences.idle_seconds:g} s",
        "restart": preferences.restart or "not awaited",
    }


def _describe(device: Device) -> str:
    if device.total_mb is None:
        return device.title
    free = "unknown" if device.free_mb is None else str(device.free_mb)
    return f"{device.title}, {free} MiB free of {device.total_mb} MiB"


def _lines(pairs: Mapping[str, str]) -> list[str]:
    width = max((len(name) for name in pairs), default=0)
    return [f"{name:{width}s}  {value}" for name, value in pairs.items()]
