"""The door: what Slicer finds when it looks for modules. Nothing heavy is imported before it is used."""
# ruff: noqa: N802, N803, PT009 - Slicer calls and reads these names, and brings its own test class

import sys
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

HOME = Path(__file__).resolve().parent
REQUIREMENTS = HOME / "Resources" / "requirements.txt"
MODEL = "hippocampus-ultralight3d"


class MedSegAttention(ScriptedLoadableModule):
    """Title, texts, the papers to thank, and what Slicer is told when it has started."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("MedSegAttention")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations"]
        parent.contributors = ["MedSegAttention contributors"]
        parent.helpText = _(
            "Segments medical volumes with attention networks, in a process of its own, so that Slicer stays usable. "
            "Choose a volume and a model and press Apply. For research; not for diagnosis. "
            'See <a href="https://github.com/MedSegAttention/SlicerMedSegAttention">the documentation</a>.'
        )
        parent.acknowledgementText = _(
            "The networks are described in: Azad et al., Beyond Self-Attention: Deformable Large Kernel Attention "
            "for Medical Image Segmentation (WACV 2024); Rahman and Marculescu, MK-UNet: Multi-kernel Lightweight "
            "CNN for Medical Image Segmentation, first submitted as UltraLightUNet (ICCV Workshops 2025); Lan et "
            "al., MSLAU-Net: A Hybrid CNN-Transformer Network for Medical Image Segmentation (2025); Valanarasu et "
            "al., Medical Transformer: Gated Axial-Attention for Medical Image Segmentation (MICCAI 2021); Hao et "
            "al., EMF-former: An Efficient and Memory-Friendly Transformer for Medical Image Segmentation (MICCAI "
            "2024)."
        )
        if hasattr(slicer, "app"):  # MRML can be used without the application
            slicer.app.connect("startupCompleted()", _at_start)


class MedSegAttentionWidget(ScriptedLoadableModuleWidget):
    """Shows the panel."""

    def __init__(self, parent: Any = None) -> None:
        self.panel, self._watch = None, None
        ScriptedLoadableModuleWidget.__init__(self, parent)  # without a parent it calls setup

    def setup(self) -> None:
        """Build the panel when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        from medseg.desktop.panel.start import start_panel

        self.panel, self._watch = start_panel(slicer.mrmlScene, REQUIREMENTS, _versions())
        self.layout.addWidget(self.panel.widget)

    def enter(self) -> None:
        """Show what came while another module was open."""
        if self.panel is not None:
            self.panel.enter()

    def cleanup(self) -> None:
        """End the worker when the module is closed or reloaded."""
        if self.panel is not None:
            self._watch.stop()
            self.panel.close()

    def onReload(self) -> None:
        """The developer's Reload button: the package is read anew too, not this file alone."""
        self.cleanup()
        for name in [name for name in sys.modules if name.partition(".")[0] == "medseg"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class MedSegAttentionLogic(ScriptedLoadableModuleLogic):
    """The module without its panel, for the Python console and for scripts.

    Example:
        >>> volume = slicer.util.loadVolume("brain.nii.gz")  # doctest: +SKIP
        >>> MedSegAttentionLogic().segment(volume, "hippocampus-ultralight3d")  # doctest: +SKIP
        >>> MedSegAttentionLogic().segmentFolder("scans", "hippocampus-ultralight3d", "results")  # doctest: +SKIP
    """

    def segment(
        self,
        volumeNode: Any,
        model: str,
        outputSegmentation: Any = None,
        *,
        mode: str = "add",
        allTimePoints: bool = False,
        wait: bool = True,
        onFinished: Any = None,
        onEvent: Any = None,
        python: str | None = None,
        **options: Any,
    ) -> Any:
        """Segment a volume, or every time point of the sequence it shows.

        Args:
            volumeNode: one volume node, or a list of them, one a channel in the model's order.
            model: id of a model; ``models()`` lists them.
            outputSegmentation: a segmentation to join; None: a new one.
            mode: "add" keeps every segment that is there, "replace" takes the place of those of the same name,
                "overwrite" takes voxels away from the others, "overwrite_visible" from those that are shown.
            allTimePoints: one after the other, into a new sequence that the same browser plays.
            wait: False: come back at once and work in the background while the application goes on.
            onFinished: called at the end with the segmentation and None, or with None and an exception.
            onEvent: hears progress, as ``medseg.spec.events``.
            python: the interpreter that computes; None: the one chosen in the panel, else Slicer's own.
            options: those of ``medseg.segment`` (``device``, ``overlap``, ``mirror``, ``precision``, ``engine``,
                ``window_batch``, ``spacing_factor``, ``postprocess``); ``roi=node`` or ``roi=(R-, R+, A-, A+, S-,
                S+)``; ``quick=True``, ``probabilities=True``, ``entropy=True``; ``modelFolders=["/shared"]``.

        Returns:
            The segmentation node; where it is not waited for, an object with ``cancel()`` and ``is_done``.

        Raises:
            medseg.spec.errors.MedSegError: what the caller can mend; MissingDependency: call ensurePackages() first.
            RuntimeError: the worker crashed.
        """
        from medseg.desktop.console.calls import segment_nodes
        from medseg.desktop.console.telling import Teller

        volumes = list(volumeNode) if isinstance(volumeNode, list | tuple) else [volumeNode]
        options |= {"mode": mode, "all_time_points": allTimePoints, "wait": wait, "python": python}
        heard = {"on_finished": onFinished, "on_event": onEvent or Teller(), "versions": _versions()}
        return segment_nodes(volumes, model, outputSegmentation, requirements=REQUIREMENTS, **heard, **options)

    def segmentFolder(
        self,
        source: Any,
        model: str,
        outputFolder: Any,
        *,
        suffix: str = ".seg.nrrd",
        overwrite: bool = False,
        onCase: Any = None,
        onEvent: Any = None,
        cancelled: Any = None,
        python: str | None = None,
        **options: Any,
    ) -> Any:
        """Segment a folder of images and DICOM series, or the cases of a CSV file, and wait; run again, it goes on.

        Args:
            source: folder, or CSV file with the columns ``case``, ``image`` (or one a channel), perhaps ``output``.
            model: id of a model.
            outputFolder: for the results, ``report.csv`` and ``report.html``.
            suffix: ".seg.nrrd", ".nii.gz", ".nii", ".nrrd" or ".mha".
            overwrite: whether results of another model, of other options or of somebody else may be replaced.
            onCase: called with number, total and row when a case begins and when it ends.
            onEvent: hears progress.
            cancelled: asked again and again; True stops.
            python: as for ``segment``.
            options: as for ``segment``.

        Returns:
            The report: ``rows`` with case, status, seconds, volumes_ml (``areas_cm2`` of single slices,
            ``voxels`` where nobody knows how large one is) and error; ``is_complete``; ``csv_path``.

        Raises:
            medseg.spec.errors.MedSegError: as for ``segment``; what goes wrong in a case is in its row.
        """
        from medseg.desktop.console.calls import ready_python
        from medseg.desktop.console.model_folders import find_model
        from medseg.desktop.console.orders import make_settings
        from medseg.desktop.console.segmenting import segment_folder_in_worker
        from medseg.desktop.console.telling import print_case

        return segment_folder_in_worker(
            Path(source),
            find_model(model, options.pop("modelFolders", ())),
            Path(outputFolder),
            *make_settings(**options),
            python=ready_python(python, REQUIREMENTS),
            on_case=onCase or print_case,
            on_event=onEvent or (lambda _event: None),
            cancelled=cancelled or (lambda: False),
            suffix=suffix,
            overwrite=overwrite,
            versions=_versions(),
        )

    def train(self, cases: Any, name: str, *, startFrom: str | None = None, minutes: float = 30, **more: Any) -> Any:
        """Train a model, or one that is there further; a training that was cancelled goes on when called again.

        Args:
            cases: list of (volume node, segmentation node), at least two; or a folder of labelled cases.
            name: of the new model; one that is there is never replaced.
            startFrom: id of the model to begin with; None: ``network="ultralight_unet"`` or another from nothing.
            minutes: the training ends after this time with the best model so far.
            more: ``steps=500``, ``device="cpu"``; ``wait``, ``onFinished`` (called with the id of the new model),
                ``onEvent`` and ``python`` as for ``segment``.

        Returns:
            The id of the new model; where it is not waited for, an object with ``cancel()`` and ``is_done``.

        Raises:
            medseg.spec.errors.MedSegError: what the caller can mend; it names the node.
            RuntimeError: the worker crashed.
        """
        from medseg.desktop.console.calls import train_model
        from medseg.desktop.console.telling import Teller

        heard = {"on_finished": more.pop("onFinished", None), "on_event": more.pop("onEvent", None) or Teller()}
        return train_model(cases, name, start=startFrom, minutes=minutes, requirements=REQUIREMENTS, **heard, **more)

    def importModel(self, source: Any, name: str, **more: Any) -> Any:
        """Import a model of nnU-Net, TotalSegmentator or MONAI, or weights; nothing in them is run.

        Args:
            source: folder, ZIP archive or file of weights.
            name: of the new model; one that is there is never replaced.
            more: ``configuration``, ``task``, ``folds``, ``labels``, ``network``, ``arguments`` as for ``medseg models
                import``; ``wait``, ``onFinished``, ``onEvent``, ``python``, returned and raised as in ``train``.
        """
        from medseg.desktop.console.calls import import_model
        from medseg.desktop.console.telling import Teller

        heard = {"on_finished": more.pop("onFinished", None), "on_event": more.pop("onEvent", None) or Teller()}
        return import_model(source, name, requirements=REQUIREMENTS, **heard, **more)

    def models(self, modelFolders: Any = ()) -> dict[str, str]:
        """Ids of the installed models and their titles, with those in more folders that others share."""
        from medseg.desktop.console.model_folders import model_titles

        return model_titles(modelFolders)


class MedSegAttentionTest(ScriptedLoadableModuleTest):
    """Runs inside Slicer: real segmentations of the sample; fails where it cannot run, and never skips."""

    def setUp(self) -> None:
        """Start from an empty scene, with the packages that the worker needs."""
        slicer.mrmlScene.Clear(0)
        ensurePackages()

    def runTest(self) -> None:
        """Run every test."""
        for test in (self.test_a_volume_becomes_segments_on_its_own_grid, self.test_a_first_use_of_the_panel):
            self.setUp()
            test()

    def test_a_volume_becomes_segments_on_its_own_grid(self) -> None:
        """The left half of the Colin27 head: names, sizes and grid of what is found."""
        from medseg.desktop.panel.self_check import sample_faults
        from medseg.desktop.scene.sample import load_sample

        self.assertIn(MODEL, MedSegAttentionLogic().models())
        volume = load_sample()
        self.assertEqual(sample_faults(MedSegAttentionLogic().segment(volume, MODEL, device="cpu"), volume), [])

    def test_a_first_use_of_the_panel(self) -> None:
        """What a clinician does at first: Try it, Apply, look at the result; Qt's events go on meanwhile."""
        from medseg.desktop.panel.self_check import first_use_faults

        slicer.util.selectModule("MedSegAttention")
        self.assertEqual(first_use_faults(slicer.util.getModuleWidget("MedSegAttention").panel), [])


def _at_start() -> None:
    from medseg.desktop.panel.at_start import at_start

    at_start(HOME / "Resources")


def _versions() -> dict[str, str]:
    import medseg

    application = getattr(slicer, "app", None)  # MRML can be used without the application
    return ({} if application is None else {"Slicer": application.applicationVersion}) | {"medseg": medseg.__version__}


def ensurePackages(*, forTraining: bool = False) -> None:
    """Install what ``segment`` or ``train`` lacks, after asking; in the panel Apply and Train do it."""
    from medseg.desktop.console.calls import install_packages
    from medseg.desktop.install.requirements import training_requirements

    wanted = training_requirements(REQUIREMENTS) if forTraining else REQUIREMENTS
    install_packages(wanted, slicer.util.confirmYesNoDisplay)
