"""Forecasts and predictions with a plan made on the spot from options, as the run of a case makes it."""

from medseg.imaging import preprocess
from medseg.imaging.grids import plan_grids
from medseg.inference import forecast as forecasting
from medseg.inference import predictor, streaming
from medseg.inference.run_plan import plan_network, plan_unseen
from medseg.spec.job import Options


def plan_array(array, manifest, device="cpu", **options):
    """Plan how a network goes over a prepared array ``(C, i, j, k)``."""
    return plan_network(array.shape, manifest, Options(**options), device=str(device))


def predict(array, network, manifest, *, on_window=predictor.ignore_window, engine=None, **options):
    """Probabilities of a prepared array."""
    plan = plan_array(array, manifest, **options)
    return predictor.predict(array, network, plan, on_window=on_window, engine=engine)


def predict_labels(prepared, network, manifest, *, on_window=predictor.ignore_window, engine=None, **options):
    """Labels of a prepared image, on the grid of the input."""
    plan = plan_array(prepared.image.array, manifest, **options)
    return streaming.predict_labels(prepared, network, plan, on_window=on_window, engine=engine)


def forecast(shape, affine, manifest, options, *, auto_device="cpu", **known):
    """What a run takes whose voxels are not at hand."""
    device = auto_device if options.device == "auto" else options.device
    return forecasting.forecast(plan_unseen(shape, affine, manifest, options, device=device), **known)


def prepare(image, manifest, roi=None, **choices):
    """The image as the network sees it, of a region or with a factor on the spacing."""
    return preprocess.prepare(image, manifest, plan_grids(image, manifest, roi, **choices))


def plan_blank(shape, affine, manifest, **options):
    """Grids of an image whose voxels are not at hand."""
    return plan_unseen(shape, affine, manifest, Options(**options), device="cpu").grids
