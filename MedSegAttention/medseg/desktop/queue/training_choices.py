"""What a training can begin with, where its model goes, and how many cases it is judged by. No Qt, no scene."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from medseg.bundles.catalogue import ENVIRONMENT_NAME, Bundle, metadata_path, user_folder
from medseg.bundles.model_id import model_id_of
from medseg.desktop.state.texts import _
from medseg.spec.errors import JobError, OutputExists
from medseg.spec.places import expanded

FEW = 10  # cases; with fewer a score says little
_FOLDS = 5  # a fifth of the cases is held out
# Networks worth a beginner's choice; ``medseg networks`` and ``medseg train`` know all of them.
FROM_NOTHING: Mapping[str, str] = {
    "ultralight_unet": "UltraLightUNet3D",
    "dlka_net": "3D D-LKA Net",
    "monai:DynUNet": "MONAI DynUNet",
}


_MODEL, _NETWORK = "model:", "network:"


def start_choices(bundles: Mapping[str, Bundle], current: Bundle | None) -> list[tuple[str, str]]:
    """Texts and values of the list "Begin with": the model in the panel first, then the others, then networks.

    Args:
        bundles: the installed models by id.
        current: the model that is chosen in the panel.
    """
    own = "" if current is None else current.manifest.model_id
    ids = [*filter(None, [own if own in bundles else ""]), *(each for each in bundles if each != own)]
    models = [(bundles[each].manifest.title, _MODEL + each) for each in ids]
    form = _("from nothing: {network}")
    return models + [(form.format(network=name), _NETWORK + key) for key, name in FROM_NOTHING.items()]


def chosen_start(value: str, bundles: Mapping[str, Bundle]) -> tuple[Bundle | None, str | None]:
    """The model or the network that a value of that list stands for.

    Raises:
        JobError: if the model is no longer installed.
    """
    if value.startswith(_NETWORK):
        return None, value.removeprefix(_NETWORK)
    bundle = bundles.get(value.removeprefix(_MODEL))
    if bundle is None:
        msg = _("The model to begin with is no longer installed; choose another one")
        raise JobError(msg)
    return bundle, None


def models_folder() -> Path:
    """Where new models go: the first folder of MEDSEG_MODELS that holds models and is none, else the user's."""
    named = (expanded(each) for each in os.environ.get(ENVIRONMENT_NAME, "").split(os.pathsep) if each.strip())
    return next((each for each in named if not (each / "configs").is_dir()), user_folder())


def model_folder(title: str, taken: Iterable[str]) -> Path:
    """Folder of a new model.

    Args:
        title: what people will call it.
        taken: ids of the models that are installed.

    Raises:
        JobError: if it has no name of letters or digits.
        OutputExists: if there is a model of that name; it is kept.
    """
    if not any(sign.isascii() and sign.isalnum() for sign in title):
        msg = _("The new model needs a name with Latin letters or digits in it, got {name}; write one")
        raise JobError(msg.format(name=repr(title.strip())))
    model_id = model_id_of(Path(title.replace("/", "-").replace("\\", "-").strip()))
    folder = models_folder() / model_id
    if model_id in set(taken) or metadata_path(folder).exists() or folder.exists():
        msg = _("There is a model {model_id} already, and it is kept; give the new model another name")
        raise OutputExists(msg.format(model_id=model_id))
    return folder


def held_out_count(case_count: int) -> int:
    """How many cases are not learnt from, but judge the model: about a fifth, one of two."""
    return 0 if case_count < 2 else -(-case_count // min(_FOLDS, case_count))


def held_out_words(case_count: int) -> str:
    """What that means, in sentences; empty where there are no cases."""
    if not case_count:
        return ""
    if case_count < 2:
        return _("One case is too few: at least two are needed, one to learn from and one to judge the model.")
    held_out = held_out_count(case_count)
    text = _("{learnt} of {count} cases are learnt from, {held_out} held out to judge the model.")
    words = text.format(count=case_count, learnt=case_count - held_out, held_out=held_out)
    if case_count >= FEW:
        return words
    return f"{words} " + _("With so few, the Dice says little about other patients: look at the results.")
