"""What of a chosen volume is not what a model was made for, said before anything is computed."""

from collections.abc import Hashable

from medseg.bundles.catalogue import Bundle
from medseg.imaging.domain import check_scan
from medseg.imaging.image import Image
from medseg.mrml.grids import Node, ijk_to_world
from medseg.mrml.measured_grid import spacing_is_known
from medseg.mrml.placing import modality_of
from medseg.mrml.volumes import scan_view
from medseg.spec.errors import MedSegError


class Suitability:
    """Applies the worker's own rules to a volume of the scene; it looks at the voxels once a volume and model."""

    def __init__(self) -> None:
        self._seen: Hashable = None
        self._remarks: tuple[str, ...] = ()

    def remarks(self, scene: Node, volume: Node, bundle: Bundle) -> tuple[str, ...]:
        """A sentence for each thing that is not as the model knows it.

        Args:
            scene: the MRML scene.
            volume: for the first channel.
            bundle: the model.

        Returns:
            Empty where all is well, and where the volume cannot be read: that is said by whoever reads it.
        """
        pixels = volume.GetImageData()
        if pixels is None:
            return ()
        manifest = bundle.manifest
        place = (volume.GetID(), volume.GetMTime(), pixels.GetMTime(), modality_of(scene, volume))
        seen = (id(scene), place, manifest.model_id, manifest.version, str(bundle.folder))
        if seen != self._seen:
            self._seen, self._remarks = seen, ()
            try:
                view = scan_view(volume, len(manifest.channels))
                image = Image(view, ijk_to_world(volume), spacing_is_known(volume), modality_of(scene, volume))
                self._remarks = tuple(check_scan(image, manifest))
            except MedSegError:
                return ()
        return self._remarks
