"""Configuration files are read with their bases and profiles; what they may not do is told in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.pytc import config_file
from napari_pytc.pytc.config_file import read_config
from napari_pytc.pytc.dialects import foreign_keys
from napari_pytc.pytc.profiles import with_profiles

PROFILES = """
arch_profiles: {small: {arch: {type: mednext}, mednext: {size: S}}, large: {arch: {type: mednext}, mednext: {size: L}}}
loss_profiles:
  binary:
    losses: [{function: BCEWithLogitsLoss, weight: 1.0}, {function: DiceLoss, weight: 1.0}]
pipeline_profiles: {simple: {model: {out_channels: 1, loss: {profile: binary}}, decoding: {steps: [{template: wz}]}}}
decoding_templates: {wz: {steps: [{name: decode_waterz, kwargs: {thresholds: 0.4}}]}}
"""


def write(folder: Path, **files: str) -> Path:
    """Files of a folder; the path of the first one."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / f"{next(iter(files))}.yaml"


def told(path: Path) -> str:
    with pytest.raises(InvalidInput) as error:
        foreign_keys(read_config([path]))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_wins_over_its_bases_in_their_order(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        a="_base_: [b.yaml, c.yaml]\nmodel: {x: {one: a}}",
        b="model: {x: {one: b, two: b, three: b}, list: [1, 2]}",
        c="model: {x: {one: c, two: c}, list: [3]}",
    )
    assert read_config([path]).values == {"model": {"x": {"one": "a", "two": "c", "three": "b"}, "list": [3]}}


def test_of_several_files_the_later_ones_win(tmp_path: Path) -> None:
    write(tmp_path, base="MODEL: {FILTERS: [8, 16], NORM_MODE: gn}", head="MODEL: {NORM_MODE: bn}")
    config = read_config([tmp_path / "base.yaml", tmp_path / "head.yaml"])
    assert config.values["MODEL"] == {"FILTERS": [8, 16], "NORM_MODE": "bn"}
    assert (config.dialect, config.name) == ("yacs", "head")


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("MODEL: {ARCHITECTURE: unet_3d}", "yacs"),
        ("SOLVER: {BASE_LR: 0.1}", "yacs"),
        ("model: {architecture: mednext}", "flat"),
        ("model: {}\ntraining: {max_epochs: 3}", "flat"),
        ("model: {arch: {type: mednext}}", "stages"),
        ("default: {model: {}}\ntrain: {}", "stages"),
    ],
)
def test_dialects_are_told_apart(tmp_path: Path, text: str, dialect: str) -> None:
    assert read_config([write(tmp_path, a=text)]).dialect == dialect


def test_a_loop_of_bases_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, a="_base_: b.yaml", b="_base_: c.yaml", c="_base_: a.yaml")
    assert "builds on itself: a.yaml -> b.yaml -> c.yaml -> a.yaml" in told(path)
    assert "builds on itself: d.yaml -> d.yaml" in told(write(tmp_path, d="_base_: ./d.yaml"))


def test_a_base_may_be_named_twice(tmp_path: Path) -> None:
    path = write(tmp_path, a="_base_: [b.yaml, c.yaml]", b="_base_: c.yaml", c="model: {x: 1}")
    assert read_config([path]).values == {"model": {"x": 1}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("_base_: gone.yaml", "there is no such file"),
        ("_base_: {a: 1}", "is a path or a list of paths"),
        ("model: !!python/object/apply:os.system ['true']", "has the tag"),
        ("model: {x: '${oc.env:HOME}'}", "oc.env:HOME"),
        ("model: {x: '${oc.decode:1}'}", "oc.decode"),
        ("model: {r: oc.env, x: '${${model.r}:HOME}'}", "never reads the environment"),
        ("model: {q: env, x: '${oc.${model.q}:HOME}'}", "never reads the environment"),
        ("- a\n- b", "must be a mapping"),
        ("model: [", "not valid YAML"),
        ("model: {a: 1}\nmodel: {b: 1}", "duplicate key"),
        ("model: {x: '${model.y}'}", "cannot be filled in"),
        ("arch_profiles: {a: {}}", "no configuration of PyTorch Connectomics"),
        ("", "no configuration of PyTorch Connectomics"),
        ("shared: {arch_profile: mednext_s}\nmodel: {out_channels: 1}", "some days in March 2026"),
    ],
)
def test_what_a_file_may_not_do_is_told(tmp_path: Path, text: str, words: str) -> None:
    assert words in told(write(tmp_path, a=text))


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    assert "There is no configuration file" in told(tmp_path / "gone.yaml")
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as text" in told(tmp_path / "a.yaml")
    levels = "\n".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(9))
    assert "more than 100000 values" in told(write(tmp_path, b=f"a0: &a0 [x]\n{levels}\nmodel: *a9"))


# Profiles


def test_profiles_are_filled_in_below_what_is_written(tmp_path: Path) -> None:
    text = """
_base_: profiles.yaml
default:
  pipeline_profile: simple
  model: {arch: {profile: small}, mednext: {kernel_size: 5}, loss: {overrides: {1: {weight: 0.5}}}}
"""
    values, chosen = with_profiles(read_config([write(tmp_path, a=text, profiles=PROFILES)]).values)
    model = values["default"]["model"]
    assert model["arch"] == {"type": "mednext"}
    assert model["mednext"] == {"size": "S", "kernel_size": 5}
    assert [loss["weight"] for loss in model["loss"]["losses"]] == [1.0, 0.5]
    assert model["out_channels"] == 1
    assert values["default"]["decoding"]["steps"] == [{"name": "decode_waterz", "kwargs": {"thresholds": 0.4}}]
    assert not [name for name in values if name.endswith("_profiles")]
    assert chosen["default.pipeline_profile"] == "simple"
    assert chosen["default.model.arch.profile"] == "small"


@pytest.mark.parametrize(
    ("default", "words"),
    [
        ("model: {arch: {profile: huge}}", "default.model.arch.profile=huge, which arch_profiles does not define"),
        ("data: {label_transform: {profile: aff}}", "label_profiles does not define"),
        ("decoding: {steps: [{template: other}]}", "template 'other'"),
        ("model: {loss: {profile: binary, overrides: {7: {weight: 0.5}}}}", "changes entry 7"),
    ],
)
def test_unknown_profiles_are_told_with_those_that_there_are(tmp_path: Path, default: str, words: str) -> None:
    sentence = told(write(tmp_path, a=f"_base_: profiles.yaml\ndefault: {{{default}}}", profiles=PROFILES))
    assert words in sentence
    if "huge" in default:
        assert "It defines large, small." in sentence


def test_stages_win_over_the_default_in_their_own_sections(tmp_path: Path) -> None:
    text = """
default: {model: {arch: {type: rsunet}}, optimization: {max_epochs: 1}, inference: {window: {overlap: 0.5}}}
train: {optimization: {max_epochs: 9}, data: {train: {image: a.h5}}}
test: {inference: {window: {overlap: 0.25}}, data: {test: {image: b.h5}}}
"""
    keys = foreign_keys(read_config([write(tmp_path, a=text)]))
    assert keys.get("optimization.max_epochs") == 9
    assert keys.get("inference.window.overlap") == 0.25
    assert keys.get("data.train.image") == "a.h5"
    assert keys.get("test.data.test.image") == "b.h5"


def test_more_than_the_most_that_is_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.yaml").mkdir()
    assert "is no file" in told(tmp_path / "folder.yaml")
    (tmp_path / "a.yaml").write_text("#" * 2**20 + "\nmodel: {x: 1}")
    assert "too large" in told(tmp_path / "a.yaml")
    monkeypatch.setattr(config_file, "_MOST_FILES", 5)
    chain = {f"b{n}": f"_base_: [b{n + 1}.yaml, b{n + 1}.yaml]" for n in range(3)}
    assert "builds on more than 5 files" in told(write(tmp_path, **chain, b3="model: {x: 1}"))


@pytest.mark.parametrize(
    "settings",
    [
        "a0: x, " + ", ".join(f"a{k + 1}: '${{model.a{k}}}${{model.a{k}}}'" for k in range(60)),
        "a0: x, " + ", ".join(f"a{k + 1}: '${{.a{k}}}${{.a{k}}}'" for k in range(60)),
        "a0: [x], " + ", ".join(f"a{k + 1}: ['${{model.a{k}}}', '${{..a{k}}}']" for k in range(60)),
        "a0: [x], " + ", ".join(f"a{k + 1}: ['${{model.a{k}[-1]}}${{model.a{k}.+0}}']" for k in range(60)),
        "b: '${model}', a0: x",
        "a0: {x: 1}, " + ", ".join(f"a{k + 1}: '${{model.a{k}}}'" for k in range(150)) + ", b: '${model.a150.x}'",
        "a: '${model.b}', b: '${model.a}'",
    ],
    ids=["text", "relative", "lists", "indices", "itself", "long", "circle"],
)
def test_values_that_stand_for_too_much_are_told(tmp_path: Path, settings: str) -> None:
    words = ("stands for more than", "for itself", "lead on without end")
    assert any(one in told(write(tmp_path, a=f"model: {{{settings}}}")) for one in words)


def test_values_of_others_are_filled_in(tmp_path: Path) -> None:
    text = "model: {n: 3, m: '${.n}', same: '${shared.part}', q: '${model.same.list[1]}', t: 'a ${model.m} b'}\n"
    text += "shared: {part: {list: [1, '${model.n}']}}"
    keys = foreign_keys(read_config([write(tmp_path, a=text)]))
    assert (keys.get("model.m"), keys.get("model.q"), keys.get("model.t")) == (3, 3, "a 3 b")
    assert keys.get("model.same.list") == [1, 3]
