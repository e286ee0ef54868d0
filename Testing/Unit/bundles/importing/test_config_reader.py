"""MONAI's configuration language without its engine: references are followed, and nothing is run."""

import json

import pytest

from medseg.bundles.importing.config_reader import Config, NotALiteral, read_config
from medseg.spec.errors import ManifestError


def config(tmp_path, **content):
    return Config(content, tmp_path / "inference.json")


def test_references_are_followed_to_any_depth(tmp_path):
    read = config(tmp_path, a="@b", b="$@c::d", c={"d": ["@e", "@c#f"], "f": 4}, e="$(1, 2.5, 'x')", g="@c::d::0::1")
    assert read.value("a") == [[1, 2.5, "x"], 4]
    assert read.value("g") == 2.5


@pytest.mark.parametrize(
    "expression",
    [
        "$__import__('os').system('touch PWNED')",
        "$open('PWNED', 'w')",
        "$@b.real",
        "$[n for n in range(3)]",
        "$lambda: 1",
        "$'a' * 10000000",
        "$[0] * 10000000",
        "$10 ** 10 ** 10",
        "$torch.load('PWNED')",
        "$f'{@b}'",
        "%other.json::a",
        "@nothing",
        "@b::c",
    ],
)
def test_what_would_have_to_be_run_is_named_and_not_run(tmp_path, monkeypatch, expression):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotALiteral, match=r"inference\.json: network\.a\[1\]: "):
        config(tmp_path, network={"a": [0, expression]}, b=1).value("network")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$@b + 1", 3),
        ("$len(@c) * 2 - 1", 5),
        ("$[1.5] * 3 if @fine else [3.0] * 3", [3.0, 3.0, 3.0]),
        ("$@c + ['@', 4]", [1, 2, 3, "@", 4]),
        ("$'models/' + @name", "models/m.pt"),
        ("$not @fine and @b <= 2", True),
        ("$@d['e'][0]", 7),
        ("$@d::e::0 // 2", 3),
        ("$@nothing if @fine else None", None),
    ],
)
def test_an_expression_of_the_files_own_values_has_the_value_of_python(tmp_path, expression, value):
    read = config(tmp_path, a=expression, b=2, c=[1, 2, 3], fine=False, name="m.pt", d={"e": [7]})
    assert read.value("a") == value


def test_only_the_calls_that_are_given_are_made(tmp_path):
    read = Config({"a": "$torch.load(@b, map_location=torch.device('cuda'))['x']"}, tmp_path, {})
    with pytest.raises(NotALiteral):
        read.value("a")
    content = {"a": "$torch.load(@b, map_location=torch.device('cuda'))['x']", "b": "c.pt"}
    assert Config(content, tmp_path, {"torch.load": lambda name: {"x": [name]}}).value("a") == ["c.pt"]


def test_circles_end(tmp_path):
    read = config(tmp_path, a="@b", b="@a", c=["@c"])
    for name in ("a", "c"):
        with pytest.raises(NotALiteral, match="circle"):
            read.value(name)


def test_references_that_multiply_are_stopped(tmp_path):
    levels = {f"l{n}": [f"@l{n + 1}"] * 10 for n in range(12)}
    with pytest.raises(NotALiteral, match="too many values"):
        config(tmp_path, **levels, l12=1).value("l0")


@pytest.mark.parametrize("name", ["inference.json", "inference.yaml", "inference.yml"])
def test_json_and_yaml_are_read(tmp_path, name):
    if not name.endswith("json"):
        pytest.importorskip("yaml")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / name).write_text(json.dumps({"a": [1, "@b"], "b": None}))
    assert read_config(tmp_path).value("a") == [1, None]


@pytest.mark.parametrize("text", ["a: !!python/object/apply:os.system ['touch PWNED']", "- 1", "a: [1", "a: 1\x00"])
def test_yaml_that_is_no_plain_object_is_refused_and_runs_nothing(tmp_path, monkeypatch, text):
    pytest.importorskip("yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "inference.yaml").write_text(text)
    with pytest.raises(ManifestError, match="YAML"):
        read_config(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["configs"]


def test_a_bundle_without_configuration_is_refused(tmp_path):
    (tmp_path / "configs").mkdir()
    with pytest.raises(ManifestError, match=r"none of inference\.json"):
        read_config(tmp_path)
