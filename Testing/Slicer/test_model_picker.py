"""The model picker: choose, search, narrow down by chips, read the card."""

from dataclasses import replace

import pytest

from medseg.bundles.catalogue import Bundle, scan
from medseg.spec.manifest import ChannelSpec, Code, LabelSpec
from small_manifest import dataset_scores


@pytest.fixture
def scene(slicer_scene):
    """The one that the widgets are in."""
    return slicer_scene


@pytest.fixture
def parameters(scene):
    from medseg.desktop.state.parameters import Parameters

    return Parameters(scene)


@pytest.fixture
def shipped(checkout):
    return scan([checkout / "Models"]).bundles["hippocampus-ultralight3d"]


@pytest.fixture
def models(shipped, tmp_path):
    """Make a catalogue of so many models: the shipped one, and made-up ones of CT, of slices every other."""

    def make(count):
        found = {shipped.manifest.model_id: shipped}
        for n in range(1, count):
            organ = ["liver", "spleen", "aorta"][n % 3]
            code = Code("SCT", str(n), f"{organ.title()} structure")
            manifest = replace(
                shipped.manifest,
                model_id=f"model-{n}",
                title=f"{organ.title()} {n}",
                description=f"Finds the {organ}",
                labels=(LabelSpec(value=1, name=organ, color=(n, 0, 0), category=code, type=code),),
                channels=(ChannelSpec(name="CT", modality="CT"),),
                anatomy=organ,
                arguments={"spatial_dims": 2 + n % 2},
                locate=None,
            )
            found[manifest.model_id] = Bundle(tmp_path / manifest.model_id, manifest)
        return found

    return make


@pytest.fixture
def picker(parameters):
    """Make a picker of a catalogue."""
    from medseg.desktop.panel.model_picker import ModelPicker

    def make(bundles):
        made = ModelPicker(parameters, lambda: bundles)
        parameters.listen(made.refresh)
        return made

    return make


def child(picker, name):
    found = picker.widget.findChild("QWidget", name)
    assert found is not None, name
    return found


def shown_titles(picker):
    found = child(picker, "found")
    return [found.item(row).text() for row in range(found.count)]


def chips(picker):
    """Text without the tick -> button."""
    return {each.text.removeprefix("✓ "): each for each in child(picker, "chips").findChildren("QToolButton")}


def test_the_first_view_of_few_models_is_a_box_and_a_card(picker, models, shipped):
    made = picker(models(3))
    assert child(made, "finder").isHidden()
    assert child(made, "details").isHidden()
    assert child(made, "model").currentText == "Hippocampus (UltraLightUNet3D)"  # the whole title is on the card
    assert child(made, "summary").text == ("Segments anterior hippocampus, posterior hippocampus in T1 (MR)")
    assert child(made, "notice").text == "Research use, not for diagnosis."
    assert made.current is shipped


def test_a_single_model_needs_no_search(picker, models):
    assert child(picker(models(1)), "find").isHidden()


def test_many_models_open_the_search_until_one_is_chosen(picker, models, parameters):
    assert not child(picker(models(12)), "finder").isHidden()
    parameters.change(model="model-3")
    assert child(picker(models(12)), "finder").isHidden()


def test_a_choice_in_the_box_is_kept_and_the_card_follows(picker, models, parameters):
    made = picker(models(3))
    child(made, "model").setCurrentIndex(2)
    assert parameters.settings.model == "model-2"
    assert made.current.manifest.model_id == "model-2"
    assert child(made, "summary").text == "Segments aorta in CT"


def test_a_model_chosen_elsewhere_is_shown(picker, models, parameters):
    made = picker(models(7))
    parameters.change(model="model-5")
    assert child(made, "model").currentText == "Aorta 5"
    assert child(made, "found").currentRow == 5
    assert child(made, "summary").text == "Segments aorta in CT"


def test_a_model_of_the_scene_that_is_not_installed_stays_chosen_and_is_said(picker, models, parameters, q_application):
    made = picker(models(3))
    parameters.change(model="from-elsewhere")
    assert made.current is None
    assert child(made, "model").currentText == "from-elsewhere (not installed)"
    assert "from-elsewhere of this scene is not installed" in child(made, "summary").text
    made.widget.show()
    made.widget.resize(420, 300)
    q_application.processEvents()
    assert child(made, "summary").geometry.width() > 300  # the line of the others must not squeeze it
    assert child(made, "more").isHidden()
    parameters.change(model="model-1")
    assert made.current.manifest.model_id == "model-1"
    assert not child(made, "more").isHidden()


def test_find_opens_the_search_and_closes_it(picker, models):
    made = picker(models(3))
    child(made, "find").click()
    assert not child(made, "finder").isHidden()
    child(made, "find").click()
    assert child(made, "finder").isHidden()


def test_words_narrow_the_list_and_the_counts(picker, models):
    made = picker(models(10))
    child(made, "search").setText("liver ct")
    assert shown_titles(made) == ["Liver 3", "Liver 6", "Liver 9"]
    assert child(made, "foundLabel").text == "Mo&dels found: 3 of 10"
    child(made, "search").setText("nothing of the kind")
    assert shown_titles(made) == []
    child(made, "search").clear()
    assert len(shown_titles(made)) == 10


def test_a_line_of_the_list_chooses_a_model_and_searching_does_not(picker, models, parameters):
    made = picker(models(10))
    child(made, "search").setText("spleen")
    assert parameters.settings.model == ""
    child(made, "found").setCurrentRow(1)
    assert parameters.settings.model == "model-4"
    child(made, "search").setText("liver")
    assert parameters.settings.model == "model-4"
    assert child(made, "found").currentRow == -1
    assert child(made, "model").currentText == "Spleen 4"


def test_the_enter_key_chooses_the_first_that_was_found(picker, models, parameters):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    made = picker(models(10))
    QTest.keyClicks(child(made, "search"), "spleen")
    QTest.keyClick(child(made, "search"), Qt.Key.Key_Return)
    assert parameters.settings.model == "model-1"


def test_chips_are_those_that_tell_models_apart(picker, models):
    assert list(chips(picker(models(5)))) == [
        "CT (4)",
        "MR (1)",
        "spleen (2)",
        "aorta (1)",
        "hippocampus (1)",
        "liver (1)",
        "3D (3)",
        "2D (2)",
        "below 20 MB (1)",
    ]


def test_a_chip_narrows_the_list_is_ticked_and_counts_what_is_left(picker, models):
    made = picker(models(5))
    chips(made)["CT (4)"].click()
    assert len(shown_titles(made)) == 4
    assert chips(made)["CT (4)"].text == "✓ CT (4)"
    assert not chips(made)["hippocampus (0)"].enabled
    assert chips(made)["MR (1)"].enabled  # of the same facet: would be added
    chips(made)["CT (4)"].click()
    assert len(shown_titles(made)) == 5
    assert chips(made)["hippocampus (1)"].enabled


def test_each_chip_says_its_facet_to_a_screen_reader(picker, models):
    made = picker(models(5))
    assert chips(made)["CT (4)"].accessibleName == "Modality CT, 4 models"
    assert all(each.toolTip for each in chips(made).values())


def test_models_that_arrive_later_are_listed_after_a_reload(picker, models, parameters):
    catalogue = models(2)
    made = picker(catalogue)
    parameters.change(model="model-1")
    catalogue.update(models(4))
    made.reload()
    assert child(made, "model").count == 4
    assert child(made, "model").currentText == "Spleen 1"
    del catalogue["model-1"]
    made.reload()
    assert parameters.settings.model == "model-1"
    assert made.current is None


def test_without_any_model_the_card_says_where_to_put_one(picker):
    made = picker({})
    assert made.current is None
    assert child(made, "model").currentText == "No model is installed"
    assert not child(made, "model").enabled
    assert "put a bundle into" in child(made, "summary").text


def test_more_shows_the_details_and_hides_them(picker, models, shipped):
    made = picker(models(1))
    child(made, "more").click()
    details = child(made, "details")
    assert not details.isHidden()
    text = details.toPlainText()
    (scores,) = shipped.manifest.scores
    dice = f"{scores.plain.segments[0].dice.mean:.4g}"
    for said in ("SNOMED 5366008", "anterior hippocampus", "HD95", dice, shipped.manifest.licence):
        assert said in text
    child(made, "more").click()
    assert details.isHidden()


def test_the_notice_is_there_once(picker, models):
    made = picker(models(1))
    child(made, "more").click()
    texts = [each.text for each in made.widget.findChildren("QLabel")] + [child(made, "details").toPlainText()]
    assert sum("not for diagnosis" in text.casefold() for text in texts) == 1


def test_the_card_can_be_selected_and_copied(picker, models):
    made = picker(models(1))
    for name in ("summary", "notice", "details"):
        flags = child(made, name).textInteractionFlags
        assert int(getattr(flags, "value", flags)) & 1, name  # Qt::TextSelectableByMouse


@pytest.mark.parametrize("is_open", [False, True])
def test_the_picker_is_never_wider_than_the_panel_whatever_a_manifest_says(picker, models, is_open, q_application):
    bundles = models(8)
    first = bundles["hippocampus-ultralight3d"]
    long = replace(first.manifest, title="long " * 60, description="x" * 500, references=("https://" + "y" * 300,))
    made = picker({**bundles, first.manifest.model_id: Bundle(first.folder, long)})
    child(made, "more").setChecked(is_open)
    child(made, "find").setChecked(is_open)
    made.widget.show()
    made.widget.resize(420, 900)
    q_application.processEvents()
    assert made.widget.width == 420


def test_where_none_was_chosen_the_model_with_the_best_dice_counts(picker, models):
    bundles = models(3)
    better = replace(bundles["model-2"].manifest, scores=(dataset_scores(dice=0.97),))
    unscored = replace(bundles["model-1"].manifest, scores=())
    made = picker(bundles | {m.model_id: Bundle(bundles[m.model_id].folder, m) for m in (better, unscored)})
    assert made.current.manifest.model_id == "model-2"
    assert picker({}).current is None


def test_a_picture_of_the_bundle_is_shown_scaled_and_described(picker, models, shipped):
    import qt

    bundles = models(3)
    docs = bundles["model-1"].folder / "docs"
    docs.mkdir(parents=True)
    drawing = qt.QPixmap(300, 150)
    drawing.fill(qt.QColor(10, 20, 30))
    assert drawing.save(str(docs / "overview.png"))
    made = picker(bundles)
    picture = child(made, "picture")
    assert not picture.isHidden()
    assert picture.accessibleName == f"Picture of {shipped.manifest.title}"
    child(made, "model").setCurrentIndex(2)
    assert picture.isHidden()
    child(made, "model").setCurrentIndex(1)
    assert not picture.isHidden()
    assert (picture.pixmap.width(), picture.pixmap.height()) == (72, 36)
    assert picture.accessibleName == "Picture of Spleen 1"
    (docs / "overview.png").write_bytes(b"no picture")
    made.reload()
    assert child(made, "picture").isHidden()


def test_the_choice_of_a_saved_scene_comes_back(picker, models, parameters, scene, tmp_path):
    made = picker(models(3))
    child(made, "model").setCurrentIndex(2)
    path = tmp_path / "scene.mrml"
    assert scene.Commit(str(path))
    parameters.change(model="model-1")
    parameters.detach()
    scene.Clear(1)
    scene.SetURL(str(path))
    assert scene.Import()
    parameters.attach(scene)
    assert child(made, "model").currentText == "Aorta 2"
