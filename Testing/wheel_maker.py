"""Makes real wheels of a few hundred bytes, for tests that really install."""

import base64
import hashlib
from zipfile import ZipFile


def make_wheel(folder, name, version, requires=(), tag="py3-none-any"):
    """A wheel of one module that knows its version; returns its path."""
    stem = f"{name.replace('-', '_')}-{version}"
    files = {
        f"{name.lower()}.py": f"__version__ = {version!r}\n",
        f"{stem}.dist-info/METADATA": "\n".join(
            [
                "Metadata-Version: 2.1",
                f"Name: {name}",
                f"Version: {version}",
                *(f"Requires-Dist: {r}" for r in requires),
            ]
        )
        + "\n",
        f"{stem}.dist-info/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    files[f"{stem}.dist-info/RECORD"] = record + f"{stem}.dist-info/RECORD,,\n"
    folder.mkdir(exist_ok=True)
    path = folder / f"{stem}-{tag}.whl"
    with ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return path


def _digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
