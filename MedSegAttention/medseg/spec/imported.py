"""What was verified of a model that came from elsewhere, and what had to be assumed; kept with the model for good."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from medseg.spec.labels import refuse, require_text

SourceKind: TypeAlias = Literal["nnunet", "monai", "weights"]


@dataclass(frozen=True, kw_only=True)
class ImportRecord:
    """One import: nothing of the source was run, every weight fits, one window of noise gave finite scores."""

    kind: SourceKind
    source: str  # name of the folder or file that was handed over, without its path
    sha256: str = ""  # of a file or an archive, in hexadecimal; "" of a folder
    networks: int = 1  # folds that are averaged
    tensors: int  # of all networks together: each compared by name and shape, each of finite numbers
    assumed: tuple[str, ...] = ()  # one sentence for each thing that no file said

    def __post_init__(self) -> None:
        """Refuse a record of nothing."""
        require_text(source=self.source)
        if self.networks < 1:
            refuse("networks", "an integer from 1", self.networks)
        if self.tensors < 1:
            refuse("tensors", "an integer from 1", self.tensors)
