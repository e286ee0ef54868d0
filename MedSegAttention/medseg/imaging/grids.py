"""The grid on which a network sees an image: how it is turned, which box is cut out, how it is resampled."""

from dataclasses import dataclass

from medseg.imaging.body import body_box
from medseg.imaging.image import Image
from medseg.imaging.monai import crop_before, cropped_grid, plan_monai_grid, turn_as_monai
from medseg.imaging.monai_resample import MonaiResample
from medseg.imaging.nnunet import crop_to_nonzero, plan_resampling, turn
from medseg.imaging.steps import Crop, Reorient, Resample, VoxelBox
from medseg.spec.errors import JobError
from medseg.spec.manifest import ModelManifest

Roi = tuple[float, float, float, float, float, float]  # R-, R+, A-, A+, S-, S+ in mm


@dataclass(frozen=True, eq=False, kw_only=True)
class Grids:
    """What happens to the grid of an image before a network sees it: it is turned, cropped and resampled.

    Attributes:
        reorient: to the model's orientation.
        crop: the box that the network sees, of the turned image.
        resample: to the model's spacing, of the cropped image.
        region: the box of the crop's voxels that is wanted, where that is less.
    """

    reorient: Reorient
    crop: Crop
    resample: Resample
    region: Crop | None = None


def plan_grids(
    image: Image,
    manifest: ModelManifest,
    roi_ras_mm: Roi | None = None,
    *,
    roi_voxels: VoxelBox | None = None,
    spacing_factor: float = 1.0,
) -> Grids:
    """Choose the box of an image that a network sees, and the grid on which it does.

    A given region replaces the crop to the body, which alone needs the voxels. Where slices are resized to the
    network's size, a region only chooses slices: the network sees them whole, as large as it knows them, and its
    answer is kept inside the region.

    Args:
        image: ``(C, I, J, K)``, channels in the model's order.
        manifest: orientation, spacing and crop of the model.
        roi_ras_mm: only this region is segmented: R-, R+, A-, A+, S-, S+ in millimetres.
        roi_voxels: the same in voxels of the image, i, i stop, j, j stop, k, k stop; goes before ``roi_ras_mm``.
        spacing_factor: voxels this many times larger than the model's along every axis, for a quick preview.

    Raises:
        JobError: if the channels are not the model's or the region misses the volume.
        ImageError: if the image would become absurdly large at the model's spacing.
    """
    check_channels(image.channel_count, manifest)
    reorient = _turn(image, manifest)
    turned = reorient.apply(image)
    wanted = asked_region(turned, roi_ras_mm, None if roi_voxels is None else reorient.turn_box(roi_voxels))
    crop, region = _plan_crop(turned, manifest, wanted)
    cut = crop.apply(turned)
    resample = _plan_resample(cut, manifest, spacing_factor)
    if isinstance(resample, MonaiResample) and resample.shape != resample.whole_shape:
        region = Crop.to_box(cut, *resample.known())
    return Grids(reorient=reorient, crop=crop, resample=resample, region=region)


def asked_region(image: Image, roi_ras_mm: Roi | None, roi_voxels: VoxelBox | None) -> Crop | None:
    """The box of an image that a user asked for; None: all of it. Voxels go before millimetres.

    Raises:
        JobError: if it misses the image.
    """
    if roi_voxels is not None:
        return Crop.to_voxels(image, roi_voxels)
    return None if roi_ras_mm is None else Crop.to_roi(image, roi_ras_mm)


def check_channels(count: int, manifest: ModelManifest) -> None:
    """Refuse another number of channels than the model's; raises ``JobError``."""
    if count != len(manifest.channels):
        names = ", ".join(channel.name for channel in manifest.channels)
        rule = f"{manifest.model_id} takes {len(manifest.channels)} channel(s) ({names}), got {count}"
        msg = f"{rule}; give one file a channel"
        raise JobError(msg)


def _turn(image: Image, manifest: ModelManifest) -> Reorient:
    if manifest.nnunet is not None:
        return turn(image, manifest.nnunet)
    if manifest.monai is not None:
        return turn_as_monai(image, manifest.orientation, manifest.monai)
    return Reorient.to_orientation(image, manifest.orientation)


def _plan_crop(image: Image, manifest: ModelManifest, wanted: Crop | None) -> tuple[Crop, Crop | None]:
    """Choose the box the network sees, and the region inside it that is wanted where that is less."""
    if wanted is None:
        return _plan_whole(image, manifest), None
    if manifest.slices is None or manifest.slices.fit == "windows":
        return wanted, None
    seen = _widen(image, wanted, _plan_whole(image, manifest), manifest.slices.axis)
    i, j, k = (a - b for a, b in zip(wanted.start, seen.start, strict=True))
    high = (i + wanted.shape[0], j + wanted.shape[1], k + wanted.shape[2])
    return seen, Crop.to_box(seen.apply(image), (i, j, k), high)


def _plan_whole(image: Image, manifest: ModelManifest) -> Crop:
    """Choose the box without a region: the body, or everything."""
    if manifest.nnunet is not None:
        return crop_to_nonzero(image)
    if manifest.monai is not None:
        return crop_before(image, manifest.monai)
    if manifest.crop_to_body:
        return Crop.to_box(image, *body_box(image))
    return Crop.to_box(image, (0, 0, 0), image.shape)


def _widen(image: Image, wanted: Crop, whole: Crop, across: int) -> Crop:
    """Keep the wanted slices, but let each hold both boxes."""
    ranges = [
        (a, a + m) if axis == across else (min(a, b), max(a + m, b + n))
        for axis, (a, m, b, n) in enumerate(zip(wanted.start, wanted.shape, whole.start, whole.shape, strict=True))
    ]
    (i, i_stop), (j, j_stop), (k, k_stop) = ranges
    return Crop.to_box(image, (i, j, k), (i_stop, j_stop, k_stop))


def _plan_resample(image: Image, manifest: ModelManifest, spacing_factor: float) -> Resample:
    """Choose the grid: the model's spacing, or the image's own, made coarser; slices may have the network's size."""
    if manifest.nnunet is not None:
        return plan_resampling(image, manifest.nnunet, spacing_factor)
    if manifest.monai is not None:
        whole = plan_monai_grid(image, manifest.spacing_mm, manifest.window_shape, manifest.monai, spacing_factor)
        return cropped_grid(image, whole, manifest.monai)
    i, j, k = manifest.spacing_mm or image.spacing
    spaced = Resample.to_spacing(image, (i * spacing_factor, j * spacing_factor, k * spacing_factor))
    if manifest.slices is None or manifest.slices.fit == "windows":
        return spaced
    i, j, k = manifest.window_shape
    count = spaced.shape[manifest.slices.axis]
    return Resample.to_shape(image, ((count, j, k), (i, count, k), (i, j, count))[manifest.slices.axis])
