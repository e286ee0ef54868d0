"""The part of the panel about how to compute: the device, and what trades time against memory and smoothness."""

from collections.abc import Callable, Sequence
from typing import Any

from medseg.bundles.catalogue import Bundle
from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.install.requirements import OPENVINO
from medseg.desktop.panel.controls import Binding, Section, load_ui, show_text
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.state.settings import PanelSettings
from medseg.desktop.state.texts import _
from medseg.spec.errors import MissingDependency
from medseg.spec.events import Device
from medseg.spec.manifest import ModelManifest

_AUTOMATIC, _PROCESSOR = "auto", "cpu"


class EngineOffer:
    """What the panel says of the optional package, and does when its button is pressed.

    Args:
        preferences: say which Python computes.
        installer: installs into Slicer's Python; None: nothing can be installed.
    """

    def __init__(self, preferences: Preferences, installer: DependencyInstaller | None = None) -> None:
        self._preferences, self._installer = preferences, installer
        self._answer = ""  # of the last installation
        self._known: tuple[str | None, bool] | None = None  # for which Python it was looked, and what was found

    @property
    def can_install(self) -> bool:
        """Whether a button makes sense; looked up once, for the panel asks after every change."""
        python = self._preferences.python
        if self._known is None or self._known[0] != python:
            self._known = python, self._installer is not None and self._installer.may_add(OPENVINO)
        return self._known[1]

    def line(self, settings: PanelSettings) -> str:
        """What there is to say beside the choice of an engine; empty where nothing is.

        Args:
            settings: OpenVINO is not spoken of where the network runs on a card or PyTorch was chosen.
        """
        if settings.engine == "torch" or settings.device not in ("auto", "cpu"):
            return ""
        if self._answer:
            return self._answer
        if self.can_install:
            return _("A processor is 2 to 5 times faster with the optional package OpenVINO, which is not installed.")
        python = self._preferences.python
        if python is not None and settings.engine == "openvino":
            command = f'"{python}" -m pip install "{OPENVINO}"'
            return _("OpenVINO must be in the Python that computes: {command}").format(command=command)
        return ""

    def install(self) -> None:
        """Ask, install, and keep the answer for the line."""
        if self._installer is None:
            return
        try:
            self._installer.add(OPENVINO)
        except MissingDependency as error:
            self._answer = str(error)
        else:
            self._answer = _("OpenVINO is installed; the next run uses it.")
        self._known = None


class PerformanceSection(Section):
    """Device, overlap, mirroring, precision, engine and windows at once.

    Args:
        parameters: hold the choices.
        current_model: the model they are for, None where none is installed.
        ask_devices: asks for the devices of this computer; the answer comes later, by ``show_devices``.
        engine_offer: what is said beside the engine where a faster one could be installed; None: nothing.
    """

    def __init__(
        self,
        parameters: Parameters,
        current_model: Callable[[], Bundle | None],
        ask_devices: Callable[[], None],
        engine_offer: EngineOffer | None = None,
    ) -> None:
        self.title = _("Performance")
        self._parameters = parameters
        self._model = current_model
        self._ask_devices = ask_devices
        self._engine_offer = engine_offer
        self._devices: tuple[Device, ...] | None = None  # None: not looked for yet
        self._is_asking = False
        self._has_failed = False  # the last request got no answer
        self._shown_manifest: ModelManifest | None = None
        self.widget, self._ui = load_ui("Performance")
        self._binding = Binding(parameters)
        self._binding.refill(self._ui.device, self._device_choices())
        self._fill_model_choices(None)
        self._ui.precision.addItem(_("32 bits (exact)"), "float32")
        self._ui.precision.addItem(_("16 bits, bfloat16"), "bfloat16")
        self._ui.precision.addItem(_("16 bits, float16"), "float16")
        self._ui.engine.addItem(_("Automatic"), "auto")
        self._ui.engine.addItem(_("PyTorch"), "torch")
        self._ui.engine.addItem(_("OpenVINO"), "openvino")
        self._binding.choice(self._ui.device, "device", unlisted=self._unlisted)
        self._binding.choice(self._ui.overlap, "overlap", unlisted=lambda share: f"{share:.0%}")
        self._binding.choice(self._ui.mirror, "mirror")
        self._binding.choice(self._ui.precision, "precision")
        self._binding.choice(self._ui.engine, "engine")
        self._binding.whole(self._ui.windowBatch, "window_batch")
        self._ui.look.connect("clicked()", lambda: self.look())
        self._ui.addEngine.connect("clicked()", lambda: self._add_engine())
        self.refresh()

    @property
    def known_devices(self) -> tuple[Device, ...]:
        """What a worker said last; empty where none was asked."""
        return self._devices or ()

    def show_devices(self, devices: Sequence[Device]) -> None:
        """List what this computer has; what was chosen stays chosen, listed or not. None: there was no answer."""
        self._devices, self._is_asking = tuple(devices) or self._devices, False
        self._has_failed = not devices
        self._binding.refill(self._ui.device, self._device_choices())
        self._show_note()

    def refresh(self) -> None:
        """Show what the parameters hold and what the model says."""
        bundle = self._model()
        manifest = None if bundle is None else bundle.manifest
        if manifest is not self._shown_manifest:
            self._shown_manifest = manifest
            self._fill_model_choices(manifest)
        self._binding.refresh()
        self._show_note()
        self._show_engine_note()

    def differences(self) -> list[str]:
        """Names of the controls that differ from the default."""
        return self._binding.differences()

    def look(self) -> None:
        """Ask which devices there are; until the answer comes the section says that it looks."""
        self._is_asking = True
        self._show_note()
        self._ask_devices()

    def _fill_model_choices(self, manifest: ModelManifest | None) -> None:
        overlap = _as_the_model_says("" if manifest is None else f"{manifest.overlap:.0%}")
        shares = (0.0, 0.25, 0.5, 0.75)
        self._binding.refill(self._ui.overlap, [(overlap, None), *((f"{share:.0%}", share) for share in shares)])
        mirror = _as_the_model_says("" if manifest is None else _("on") if manifest.mirror_axes else _("off"))
        self._binding.refill(self._ui.mirror, [(mirror, None), (_("On"), True), (_("Off"), False)])

    def _device_choices(self) -> list[tuple[str, Any]]:
        graphics = [(device_text(device), device.name) for device in self.known_devices if device.name != _PROCESSOR]
        processors = [device_text(device) for device in self.known_devices if device.name == _PROCESSOR]
        processor = processors[0] if processors else _("Processor (CPU)")
        return [(_("Best available"), _AUTOMATIC), *graphics, (processor, _PROCESSOR)]

    def _unlisted(self, name: str) -> str:
        if self._is_listed(name):
            return _("First NVIDIA graphics card")
        if self._devices is None:
            return _("{device} (not looked for yet)").format(device=name)
        return _("{device} (not found on this computer)").format(device=name)

    def _is_listed(self, name: str) -> bool:
        names = {device.name for device in self.known_devices}
        any_card = {"cuda"} if any(each.startswith("cuda:") for each in names) else set()
        return name in {_AUTOMATIC, _PROCESSOR} | names | any_card

    def _show_note(self) -> None:
        self._ui.look.setEnabled(not self._is_asking)
        show_text(self._ui.deviceNote, self._note())

    def _show_engine_note(self) -> None:
        offer = self._engine_offer
        note = "" if offer is None else offer.line(self._parameters.settings)
        show_text(self._ui.engineNote, note)
        self._ui.addEngine.setVisible(bool(note) and offer is not None and offer.can_install)

    def _add_engine(self) -> None:
        if self._engine_offer is not None:
            self._engine_offer.install()
            self._show_engine_note()

    def _note(self) -> str:
        if self._is_asking:
            return _("Looking for devices...")
        if self._has_failed:
            return _("The devices could not be listed; the log in Install and diagnostics says why.")
        if self._devices is None:
            return _("Press Refresh to list the graphics cards and their free memory.")
        chosen = self._parameters.settings.device
        if not self._is_listed(chosen):
            return _("{device} was chosen and is not there now; choose another one before Apply.").format(device=chosen)
        if all(device.name == _PROCESSOR for device in self._devices):
            return _("No graphics card was found that the networks can use; the processor takes longer.")
        return ""


def device_text(device: Device) -> str:
    """A device with its free memory, e.g. "NVIDIA RTX A5000 (cuda:0), 20.1 of 24 GiB free"."""
    name = f"{device.title} ({device.name})"
    if device.free_mb is None:
        return name
    free = f"{device.free_mb / 1024:.3g}"
    if device.total_mb is None:
        return _("{device}, {free} GiB free").format(device=name, free=free)
    return _("{device}, {free} of {total} GiB free").format(
        device=name, free=free, total=f"{device.total_mb / 1024:.3g}"
    )


def _as_the_model_says(value: str) -> str:
    return _("As the model says ({value})").format(value=value) if value else _("As the model says")
