"""What a recipe may not do, and mistakes with the names there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.cli.options import read_settings
from napari_pytc.errors import InvalidInput
from napari_pytc.plans.recipes import load_recipe, plan_from_yaml


def refusal(text: str, *overrides: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        plan_from_yaml(text, "mine", overrides)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "written",
    [
        "${oc.env:SECRET}",
        "${oc.env:SECRET,none}",
        "a ${oc.env:SECRET} b",
        "${ oc.env :SECRET}",
        "${oc.decode:${oc.env:SECRET}}",
    ],
)
def test_the_environment_is_never_read(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    for found in (
        refusal(f'decoder: {{kind: watershed, object_class: "{written}"}}'),
        refusal("steps: 3", f"decoder.kind='{written}'"),
        refusal(f'decoder: {{list: [1, "{written}"]}}'),
    ):
        assert "never reads the environment" in found.message
        assert "hunter2" not in str(found)
        assert "decoder" in found.message


@pytest.mark.parametrize("written", ["${${x.r}:SECRET}", "${oc.${x.q}:SECRET}", "${x.${x.r}}", "${oc.env:${x.r}}"])
def test_the_name_of_a_resolver_is_not_put_together(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    words = ("x.r=oc.env", "x.q=env", f"y={written}")
    with pytest.raises(InvalidInput, match="never reads the environment") as caught:
        read_settings(words)
    for found in (caught.value, refusal(f"{{x: {{r: oc.env, q: env}}, y: '{written}'}}"), refusal("steps: 3", *words)):
        assert "never reads the environment" in found.message
        assert "hunter2" not in str(found)


def test_settings_that_stand_for_too_much_are_refused() -> None:
    words = ["a0=x", *(f"a{k + 1}=${{a{k}}}${{a{k}}}" for k in range(60))]
    with pytest.raises(InvalidInput, match="stands for more than"):
        read_settings(words)
    assert "stands for more than" in refusal("steps: 3", *words).message


def test_the_value_of_another_setting_is_fine() -> None:
    assert plan_from_yaml("{steps: 7, validate_every: '${steps}'}", "mine").validate_every == 7


@pytest.mark.parametrize(
    "text",
    [
        "steps: !!python/object/apply:os.system ['touch made']",
        "steps: !!python/name:os.system",
        "decoder: [1, !!python/object/apply:os.system ['touch made']]",
        "%TAG ! tag:yaml.org,2002:python/\n---\nsteps: !object/apply:os.system ['touch made']",
        "steps: !<tag:yaml.org,2002:python/object/apply:os.system> ['touch made']",
    ],
)
def test_python_objects_are_never_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    refusal(text)
    assert not list(tmp_path.iterdir())


def test_a_tag_is_refused_in_a_sentence_and_a_comment_is_not() -> None:
    assert "makes no Python objects" in refusal("steps: !!python/name:os.system").message
    assert plan_from_yaml("# !!python/name\nsteps: 3", "mine").steps == 3


@pytest.mark.parametrize(
    ("text", "name", "known"),
    [
        ("stepps: 3", "stepps", "steps, minutes"),
        ("augmentation: {blurr: 1}", "augmentation.blurr", "blur"),
        ("network: {kind: unet, chanels: [4, 8]}", "network.chanels", "channels, residual_units"),
        ("losses: [dice, {kind: tversky, alhpa: 1}]", "losses.1.loss.alhpa", "alpha, beta"),
        ("losses: [{loss: {kind: tversky, alhpa: 1}}]", "losses.0.loss.alhpa", "alpha, beta"),
        ("losses: [{loss: dice, wieght: 1}]", "losses.0.wieght", "loss, weight, channels, heads"),
        ("target: {kind: instances, long: 3}", "target.long", "affinities, long_range"),
        ("schedule: {kind: step, evry: 3}", "schedule.evry", "warm_up, floor, every"),
        ("gradients: {clp: 1}", "gradients.clp", "clip, clip_by, accumulate"),
    ],
)
def test_an_unknown_setting_lists_the_known_ones(text: str, name: str, known: str) -> None:
    found = refusal(text)
    assert f"no setting {name!r}" in found.message
    assert known in found.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("target: {kind: clases}", "no target is called 'clases'. Known are channels, classes, instances."),
        ("target: {boundary: true}", "'target' does not say its kind."),
        ("steps: '${nothing}'", "takes the value of 'nothing', which it does not say."),
        ("steps: 3\nsteps: 4\n", "found duplicate key steps, in line 2, column 1."),
        ("steps: 3\nminutes: [1\n", "expected ',' or ']'"),  # the rest is the parser's
        ("- steps", "must be a YAML mapping of settings, got a list."),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, told: str) -> None:
    assert told in str(refusal(text))


def test_another_kind_leaves_the_settings_of_the_recipes_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("optimiser: {kind: adam, amsgrad: true}\nschedule: {kind: step, every: 0.5}\n")
    plan = load_recipe(path, ["optimiser.kind=sgd", "schedule=polynomial"])
    assert (plan.optimiser.kind, plan.schedule.kind) == ("sgd", "polynomial")
