"""Controls tied to parameters: what the user does is stored, what is stored is shown, and showing stores nothing."""

import pytest


@pytest.fixture
def parameters(slicer_scene):
    from medseg.desktop.state.parameters import Parameters

    return Parameters(slicer_scene)


@pytest.fixture
def binding(parameters):
    """A binding that is refreshed after each change, as the panel does it."""
    from medseg.desktop.panel.controls import Binding

    made = Binding(parameters)
    parameters.listen(made.refresh)
    return made


@pytest.fixture
def slider(qt_app, binding):  # noqa: ARG001 - a slider is Qt's
    import ctk

    made = ctk.ctkSliderWidget()
    made.setAccessibleName("Holes")
    made.decimals, made.maximum = 1, 50
    binding.number(made, "fill_holes_mm3")
    return made


@pytest.fixture
def heard(parameters):
    """Grows by one with each change of the parameters."""
    changes = []
    parameters.listen(lambda: changes.append(parameters.settings))
    return changes


def test_a_slider_stores_a_number_once_a_step(slider, parameters, heard):
    slider.setValue(2.5)
    assert parameters.settings.fill_holes_mm3 == 2.5
    assert len(heard) == 1


def test_what_a_slider_cannot_show_is_kept(slider, binding, parameters, heard):
    parameters.change(fill_holes_mm3=1234.5678)
    assert slider.value == 50
    assert parameters.settings.fill_holes_mm3 == 1234.5678
    assert len(heard) == 1
    assert binding.differences() == ["Holes"]


def test_the_same_choice_again_changes_nothing(qt_app, binding, parameters, heard):
    box = qt_app.QCheckBox()
    binding.tick(box, "entropy")
    binding.refresh()
    box.click()
    assert len(heard) == 1
    parameters.change(entropy=True)
    box.setChecked(True)
    assert {settings.entropy for settings in heard} == {True}


def test_other_items_of_a_box_leave_the_choice_alone(qt_app, binding, parameters):
    from medseg.desktop.panel.controls import selected

    box = qt_app.QComboBox()
    binding.choice(box, "device", unlisted=lambda name: f"{name}?")
    parameters.change(device="cuda:3")
    binding.refill(box, [("Best", "auto"), ("CPU", "cpu")])
    assert (box.currentText, selected(box), parameters.settings.device) == ("cuda:3?", "cuda:3", "cuda:3")
    binding.refill(box, [("Best", "auto"), ("Card", "cuda:3")])
    assert box.count == 2
    assert box.currentText == "Card"
    box.setCurrentIndex(0)
    assert parameters.settings.device == "auto"


def test_none_is_a_choice_like_any_other(qt_app, binding, parameters):
    box = qt_app.QComboBox()
    binding.choice(box, "overlap")
    binding.refill(box, [("Model", None), ("0", 0.0), ("half", 0.5)])
    box.setCurrentIndex(1)
    assert parameters.settings.overlap == 0.0
    parameters.change(overlap=None)
    assert box.currentText == "Model"
    box.setCurrentIndex(2)
    box.setCurrentIndex(0)
    assert parameters.settings.overlap is None


def test_every_control_that_differs_is_named(qt_app, binding, slider, parameters):  # noqa: ARG001
    box = qt_app.QSpinBox()
    box.setAccessibleName("Batch")
    box.minimum = 1
    binding.whole(box, "window_batch")
    parameters.change(window_batch=3, fill_holes_mm3=1.0)
    assert binding.differences() == ["Holes", "Batch"]
