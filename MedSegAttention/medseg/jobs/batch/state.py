"""Which cases of a batch are done, in this run or an earlier one, written down after every change."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from medseg.bundles.catalogue import Bundle
from medseg.bundles.digest import weights_digest
from medseg.io.folder_lock import FolderLock
from medseg.jobs.batch.cases import Case
from medseg.jobs.batch.content import Content, contents_of
from medseg.jobs.batch.page import page
from medseg.jobs.batch.report import CaseRow, Recipe, read_rows, write_rows
from medseg.spec.errors import JobError, OutputExists
from medseg.spec.job import Options

_WORK = ".unfinished"  # holds what is not whole yet; belongs to the batch and is emptied when one begins
_LOCK = ".batch-lock"


class BatchState:
    """The report of one batch, on disk at any time.

    Args:
        source: what the cases come from; named in the report.
        folder: of the outputs and the report; made when it is not there.
        cases: of this batch.
        bundle: the model.
        options: for all cases.
        versions: of the programs that take part.

    Raises:
        JobError: if the folder cannot be made, or another batch is writing to it.
        OutputExists: if the folder holds a report that is none of ours.
    """

    def __init__(
        self,
        source: Path,
        folder: Path,
        cases: Sequence[Case],
        bundle: Bundle,
        options: Options,
        versions: Mapping[str, str],
    ) -> None:
        self._source = source
        self._base = source if source.is_dir() else source.parent
        self._folder = folder
        self._cases = cases
        self._manifest = bundle.manifest
        self._versions = versions
        self._recipe = Recipe(
            f"{bundle.manifest.model_id} {bundle.manifest.version}",
            weights_digest(bundle) or "",
            _written(options),
        )
        self.work = folder / _WORK
        self._lock = FolderLock(folder, _LOCK)
        self._contents: dict[str, tuple[Content, ...]] = {}
        self._write_error: JobError | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._enter()
        except OSError as error:
            msg = f"{folder} cannot be used for results ({error.strerror or error}); choose another folder"
            raise JobError(msg) from error

    def _enter(self) -> None:
        """Keep other batches out, and read what an earlier one did."""
        if not self._lock.acquire():
            msg = f"another batch is writing to {self._folder}; wait for it, stop it, or choose another output folder"
            raise JobError(msg)
        try:
            self._rows = read_rows(self._folder)
            shutil.rmtree(self.work, ignore_errors=True)
            self.work.mkdir(exist_ok=True)
        except BaseException:
            self._lock.release()
            raise

    @property
    def rows(self) -> tuple[CaseRow, ...]:
        """The rows of this batch's cases so far, in its order."""
        return tuple(self._rows[case.name] for case in self._cases if case.name in self._rows)

    def done(self, case: Case) -> CaseRow | None:
        """The row of a case that need not be done again; None where it must."""
        row = self._rows.get(case.name)
        if row is None or row.status != "done" or not self.output(case).is_file():
            return None
        return (
            row if (row.recipe, row.inputs, row.output) == self._key(case) and self._is_unchanged(case, row) else None
        )

    def _is_unchanged(self, case: Case, row: CaseRow) -> bool:
        """Whether the images are still those that were segmented, by what they hold."""
        if case.name not in self._contents:
            self._contents[case.name] = contents_of(case.inputs, row.contents)
        now = self._contents[case.name]
        same = (one.is_of(other) for one, other in zip(now, row.contents, strict=False))
        return len(now) == len(row.contents) == len(case.inputs) and all(same)

    def check_outputs(self) -> None:
        """Refuse to begin where a result would take the place of a file that this batch has not made.

        Raises:
            OutputExists: names the first of them.
        """
        strange = [
            case
            for case in self._cases
            if self.output(case).exists() and self.done(case) is None and not self.is_ours(case)
        ]
        if strange:
            case = strange[0]
            more = f" ({len(strange)} such files)" if len(strange) > 1 else ""
            row = self._rows.get(case.name)
            why = "was made from other images, by another model, with other options or by hand"
            if row is not None and (row.recipe, row.inputs, row.output) == self._key(case):
                why = f"was made from what {' '.join(case.inputs)} held before it was changed"
            msg = (
                f"{self.output(case)} {why}, and is kept{more}; choose another output folder, or allow overwriting "
                "(--overwrite)"
            )
            raise OutputExists(msg)

    def is_ours(self, case: Case) -> bool:
        """Whether a file that has the name of a case's output was left by a batch that was ended just then."""
        row = self._rows.get(case.name)
        return row is not None and row.status == "running" and row.output == case.output.as_posix()

    def output(self, case: Case) -> Path:
        """Where the result of a case goes."""
        return self._folder / case.output

    def begin(self, case: Case) -> CaseRow:
        """A row for a case that begins now."""
        recipe, inputs, output = self._key(case)
        contents = contents_of(case.inputs, self._contents.get(case.name, ()))
        return CaseRow(case=case.name, status="running", inputs=inputs, output=output, recipe=recipe, contents=contents)

    def put(self, row: CaseRow) -> None:
        """Take a row and write the report; where that is in use now, the next time will do."""
        self._rows[row.case] = row
        labels = self._label_names()
        others = [each for name, each in self._rows.items() if name not in {case.name for case in self._cases}]
        html = page(self._manifest.title, self.rows, len(self._cases), labels, self._properties())
        try:
            write_rows(self._folder, self.work, [*self.rows, *others], labels, html)
            self._write_error = None
        except JobError as error:
            self._write_error = error

    def _label_names(self) -> list[str]:
        """The segments of the cases that are done: a model may name those of a whole image and of a crop apart."""
        known = dict.fromkeys(label.name for label in (*self._manifest.labels, *self._manifest.located_labels))
        found = {name for row in self._rows.values() for name in row.segments}
        return [name for name in known if name in found] or [label.name for label in self._manifest.labels]

    def clear(self) -> None:
        """Remove what is not whole, and let the next batch in."""
        shutil.rmtree(self.work, ignore_errors=True)
        self._lock.release()

    def check_written(self) -> None:
        """Say so when the report could not be written the last time.

        Raises:
            JobError: names the file and the reason.
        """
        if self._write_error is not None:
            raise self._write_error

    def _key(self, case: Case) -> tuple[Recipe, tuple[str, ...], str]:
        return self._recipe, tuple(map(self._relative, case.inputs)), case.output.as_posix()

    def _relative(self, name: str) -> str:
        """An input as seen from the source, so that a batch goes on when everything was moved together."""
        base, path = self._base.resolve(), Path(name).resolve()
        return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)

    def _properties(self) -> dict[str, str]:
        return {
            "Model": self._recipe.model,
            "SHA-256 of its weights": self._recipe.weights_sha256,
            "Options": self._recipe.options,
            "Images": str(self._source),
            "Written": datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
            **{f"Version of {program}": version for program, version in self._versions.items()},
        }


def _written(options: Options) -> str:
    """Options as a recipe keeps them; the default engine is left out, as in earlier reports."""
    written = asdict(options)
    if written["engine"] == Options().engine:
        del written["engine"]
    return json.dumps(written, sort_keys=True)
