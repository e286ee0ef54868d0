"""Which axes a run averages over: the user's word on the model's own."""

from medseg.spec.errors import JobError
from medseg.spec.manifest import ModelManifest


def mirror_axes(manifest: ModelManifest, mirror: bool | None) -> tuple[int, ...]:
    """Axes to mirror, 0 = i, 1 = j, 2 = k; n of them cost 2**n forward passes a window.

    Args:
        manifest: names the axes its author mirrored in training.
        mirror: None or True: those; False: none.

    Raises:
        JobError: when mirroring is asked of a model that names no axes.
    """
    if mirror and not manifest.mirror_axes:
        msg = f"{manifest.model_id} names no axes to mirror, it was not trained for that; run it without mirroring"
        raise JobError(msg)
    return () if mirror is False else manifest.mirror_axes
