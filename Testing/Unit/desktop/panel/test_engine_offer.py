"""A faster engine is spoken of where it would help, and installed by nobody but the user."""

import pytest

from medseg.desktop.install.requirements import OPENVINO
from medseg.desktop.panel.sections.performance import EngineOffer
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.state.settings import PanelSettings
from medseg.spec.errors import MissingDependency


class DependencyInstaller:
    """Lacks OpenVINO until it is added."""

    def __init__(self, preferences, refusal=""):
        self.preferences, self.refusal = preferences, refusal
        self.asked, self.is_there = 0, False

    def may_add(self, package):
        assert package == OPENVINO
        self.asked += 1
        return self.preferences.python is None and not self.is_there

    def add(self, package):
        assert package == OPENVINO
        if self.refusal:
            raise MissingDependency(self.refusal)
        self.is_there = True


@pytest.fixture
def preferences():
    return Preferences()


def test_it_is_offered_and_after_the_installation_it_is_said(preferences):
    installer = DependencyInstaller(preferences)
    offer = EngineOffer(preferences, installer)
    assert "not installed" in offer.line(PanelSettings())
    assert offer.can_install
    offer.install()
    assert offer.line(PanelSettings()) == "OpenVINO is installed; the next run uses it."
    assert not offer.can_install


def test_a_refusal_is_said_and_the_offer_stays(preferences):
    offer = EngineOffer(preferences, DependencyInstaller(preferences, refusal="Nothing was installed."))
    offer.install()
    assert offer.line(PanelSettings()) == "Nothing was installed."
    assert offer.can_install


@pytest.mark.parametrize("settings", [{"engine": "torch"}, {"device": "cuda:0"}])
def test_nobody_speaks_of_it_where_it_would_not_be_used(preferences, settings):
    assert EngineOffer(preferences, DependencyInstaller(preferences)).line(PanelSettings(**settings)) == ""


def test_it_is_looked_for_once_and_again_for_another_python(preferences):
    installer = DependencyInstaller(preferences)
    offer = EngineOffer(preferences, installer)
    for _turn in range(3):
        offer.line(PanelSettings())
    assert installer.asked == 1
    preferences.python = "/opt/my python"
    assert offer.line(PanelSettings()) == ""
    assert installer.asked == 2
    named = offer.line(PanelSettings(engine="openvino"))
    assert '"/opt/my python" -m pip install "openvino>=2026.1"' in named
    assert not offer.can_install


def test_without_a_gate_nothing_is_offered(preferences):
    offer = EngineOffer(preferences)
    offer.install()
    assert offer.line(PanelSettings()) == ""
    assert not offer.can_install
