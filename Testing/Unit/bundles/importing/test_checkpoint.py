"""Checkpoints: weights are found wherever training programs put them, and nothing in the file is run."""

import pickle
import warnings
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from medseg.bundles.importing.checkpoint import read_content, read_state
from medseg.spec.errors import WeightsError

STATE = OrderedDict(weight=torch.arange(6.0).reshape(2, 3), count=torch.tensor(7))


class Attack:
    """A pickle of this writes a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def assert_is_state(found):
    assert list(found) == ["weight", "count"]
    assert torch.equal(found["weight"], STATE["weight"])
    assert int(found["count"]) == 7


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 4, "best": (np.float32(0.5), np.float64(1)), "losses": np.arange(3.0)},
        {"network_weights": STATE, "optimizer_state": {"state": {0: torch.ones(2)}}},
        {"model": STATE},
        {"model": {"state_dict": STATE}, "name": "x"},
    ],
)
def test_torch_files_old_and_new_are_read(tmp_path, content, new):
    torch.save(content, tmp_path / "c.pth", _use_new_zipfile_serialization=new)
    assert_is_state(read_state(tmp_path / "c.pth"))


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_arrays_are_read(tmp_path, protocol):
    arrays = {"weight": np.asfortranarray(STATE["weight"].numpy().astype(">f4")), "count": np.array(7)}
    (tmp_path / "c.pkl").write_bytes(pickle.dumps({"state_dict": arrays}, protocol=protocol))
    assert_is_state(read_state(tmp_path / "c.pkl"))


def test_safetensors_are_read(tmp_path):
    save_file(STATE, tmp_path / "c.safetensors")
    found = read_state(tmp_path / "c.safetensors")
    assert_is_state({name: found[name] for name in STATE})


@pytest.mark.parametrize("new", [True, False])
def test_a_torch_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path, new):
    torch.save(
        {"state_dict": STATE, "x": Attack(tmp_path / "PWNED")}, tmp_path / "c.pt", _use_new_zipfile_serialization=new
    )
    with pytest.raises(WeightsError, match=r"it names io\.open, which could run code"):
        read_state(tmp_path / "c.pt")
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(tmp_path, protocol):
    attack = pickle.dumps({"weight": Attack(tmp_path / "PWNED")}, protocol=protocol)
    (tmp_path / "c.model").write_bytes(attack)
    with pytest.raises(WeightsError, match=r"it names io\.open, which could run code"):
        read_state(tmp_path / "c.model")
    assert not (tmp_path / "PWNED").exists()
    with (tmp_path / "c.model").open("rb") as file:
        pickle.load(file)["weight"].close()  # noqa: S301 (the attack is real)
    assert (tmp_path / "PWNED").exists()


@pytest.mark.parametrize(
    "attack",
    [
        b"cos\nsystem\n(S'touch PWNED'\ntR.",
        b'cbuiltins\neval\n(S\'open("PWNED","w")\'\ntR.',
        b"cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\nI0\ntR.",
        b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x05touch\x94\x85R.",
        b"cnumpy\ndtype\n(S'O8'\ntR.",
        b"Pid\n.",
    ],
)
def test_hand_written_attacks_are_refused(tmp_path, monkeypatch, attack):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.pkl").write_bytes(attack)
    with pytest.raises(WeightsError, match="is not opened"):
        read_state(tmp_path / "c.pkl")
    assert [path.name for path in tmp_path.iterdir()] == ["c.pkl"]


def test_objects_inside_arrays_are_refused(tmp_path):
    (tmp_path / "c.pkl").write_bytes(pickle.dumps({"a": np.array([{}, 1], dtype=object)}))
    with pytest.raises(WeightsError, match="arrays of type 'O8' are not read"):
        read_state(tmp_path / "c.pkl")


def test_torchscript_is_a_program_and_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "c.ts")
    with pytest.raises(WeightsError, match="TorchScript, a program and not weights"):
        read_state(tmp_path / "c.ts")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not really", b"\x80\x02}q\x00."])
def test_files_without_weights_are_refused(tmp_path, content):
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(WeightsError):
        read_state(tmp_path / "c.pt")


def test_a_truncated_file_and_an_absent_one_are_refused(tmp_path):
    torch.save(STATE, tmp_path / "c.pt")
    (tmp_path / "c.pt").write_bytes((tmp_path / "c.pt").read_bytes()[:-200])
    with pytest.raises(WeightsError):
        read_state(tmp_path / "c.pt")
    with pytest.raises(WeightsError, match="is missing"):
        read_state(tmp_path / "nothing.pt")


def test_what_is_there_is_named_where_weights_are_not(tmp_path):
    torch.save({"epoch": 3, "history": [1.0]}, tmp_path / "c.pt")
    with pytest.raises(WeightsError, match="epoch, history"):
        read_state(tmp_path / "c.pt")


def test_plain_content_comes_back_with_arrays_and_numbers(tmp_path):
    content = {"spacing": np.array([3.0, 0.7, 0.7]), "sd": np.float32(2.5), 0: ("a", True), "n": None}
    (tmp_path / "p.pkl").write_bytes(pickle.dumps(content))
    read = read_content(tmp_path / "p.pkl")
    np.testing.assert_array_equal(read.pop("spacing"), content["spacing"])
    assert read == {"sd": 2.5, 0: ["a", True], "n": None}


def test_tensors_that_are_no_plain_ones_are_no_weights(tmp_path):
    torch.save({"weight": torch.ones(2, 2).to_sparse()}, tmp_path / "c.pt")
    with pytest.raises(WeightsError, match="holds no weights"):
        read_state(tmp_path / "c.pt")


def test_a_pickle_that_holds_itself_is_refused(tmp_path):
    circle = {}
    circle["model"] = circle
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(circle))
    with pytest.raises(WeightsError, match="is not opened"):
        read_state(tmp_path / "c.pkl")
    torch.save(circle, tmp_path / "c.pt")
    with pytest.raises(WeightsError, match="is not opened"):
        read_state(tmp_path / "c.pt")
