"""Augmented patches keep shape and type, image and labels stay together, and a seed decides everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pytc.learning.data.augmentations.augmenter import Augmenter
from napari_pytc.plans.plan import Augmentation
from tests.support.tissue import make_tissue

OFF: dict[str, float | str] = {
    "flips": False,
    "affine": 0,
    "contrast": 0,
    "noise": 0,
    "blur": 0,
    "missing_section": 0,
    "misaligned_section": 0,
    "turns": "with_flips",
    "elastic": 0,
    "stripes": 0,
    "cut_out": 0,
    "cut_blur": 0,
    "cut_noise": 0,
    "copy_paste": 0,
}
ON = {"flips": True, "turns": "always"}
CHANNEL_CHANGES = ["contrast", "noise", "blur", "missing_section", "stripes"]
SHAPES = [(12, 40, 40), (1, 40, 40), (5, 24, 33), (2, 1, 9), (24, 24, 24), (1, 1, 1)]


def only(*names: str) -> Augmentation:
    return Augmentation.model_validate(OFF | {name: ON.get(name, 1.0) for name in names})


def patch_of(shape: tuple[int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(1, *shape)).astype(np.float32), rng.integers(0, 4, shape).astype(np.uint8)


def tissue_patch(shape: tuple[int, int, int] = (16, 48, 48)) -> tuple[np.ndarray, np.ndarray]:
    """Labels everywhere (1 and 2), and an image that is those labels."""
    labels = make_tissue(shape, n_cells=8, seed=3).classes
    return labels[None].astype(np.float32), labels


def augment(plan: Augmentation, anisotropy: float, image: np.ndarray, labels: np.ndarray, seed: int) -> tuple:
    return Augmenter(plan, anisotropy)(image, labels, np.random.default_rng(seed))


def test_all_off_is_a_copy() -> None:
    image, labels = patch_of((4, 8, 8))
    seen, target = augment(only(), 1, image, labels, 0)
    np.testing.assert_array_equal(seen, image)
    np.testing.assert_array_equal(target, labels)
    assert not np.shares_memory(seen, image)
    assert not np.shares_memory(target, labels)


@pytest.mark.parametrize("anisotropy", [1.0, 10.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_and_types_stay(shape: tuple[int, int, int], anisotropy: float) -> None:
    image, labels = patch_of(shape)
    before = image.copy(), labels.copy()
    augmenter, rng = Augmenter(only(*OFF), anisotropy), np.random.default_rng(0)
    for _ in range(4):
        seen, target = augmenter(image, labels, rng)
        assert (seen.shape, seen.dtype) == (image.shape, np.float32)
        assert (target.shape, target.dtype) == (labels.shape, np.uint8)
        assert seen.flags.c_contiguous
        assert target.flags.c_contiguous
        assert np.isfinite(seen).all()
        assert set(np.unique(target)) <= {0, 1, 2, 3}
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_views_and_read_only_arrays_are_taken() -> None:
    image, labels = patch_of((4, 8, 8))
    image.flags.writeable = False
    augment(only(*OFF), 1, image[:, ::-1], labels[::-1, :, ::-1], 0)


@pytest.mark.parametrize("anisotropy", [1.0, 10.0])
def test_the_generator_decides_everything(anisotropy: float) -> None:
    image, labels = patch_of((12, 20, 20))
    shared = Augmenter(Augmentation(), anisotropy)
    warm = np.random.default_rng(99)
    for seed in range(6):
        torch.manual_seed(seed)
        np.random.seed(seed)
        once = augment(Augmentation(), anisotropy, image, labels, seed)
        shared(image, labels, warm)
        again = shared(image, labels, np.random.default_rng(seed))
        np.testing.assert_array_equal(once[0], again[0])
        np.testing.assert_array_equal(once[1], again[1])


@pytest.mark.parametrize(("anisotropy", "numbers"), [(1.0, [1083, 8121, 49098]), (10.0, [1083, 8121, 49098, 43668])])
def test_trainings_of_version_0_2_draw_the_same_numbers(anisotropy: float, numbers: list[int]) -> None:
    """What came later is off, and draws none: so that a training is the same as before, bit for bit."""
    image, labels = patch_of((12, 20, 20))
    augmenter = Augmenter(Augmentation(), anisotropy)
    for seed, number in enumerate(numbers):
        augmenter(image, labels, rng := np.random.default_rng(seed))
        assert rng.integers(2**16) == number


@pytest.mark.parametrize("name", [name for name in OFF if name != "copy_paste"])
def test_every_change_changes_something_and_differs_between_seeds(name: str) -> None:
    image, labels = patch_of((12, 40, 40))
    results = [augment(only(name), 1, image, labels, seed)[0] for seed in range(8)]
    assert sum(not np.array_equal(result, image) for result in results) >= 6
    assert not np.array_equal(results[0], results[1])


def test_global_random_numbers_are_left_alone() -> None:
    image, labels = patch_of((12, 24, 24))
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(3), np.random.random(3)
    torch.manual_seed(5)
    np.random.seed(5)
    augment(only(*OFF), 1, image, labels, 0)
    assert torch.equal(torch.rand(3), expected[0])
    np.testing.assert_array_equal(np.random.random(3), expected[1])


@pytest.mark.parametrize(("shape", "anisotropy"), [((6, 9, 9), 1.0), ((6, 9, 12), 1.0), ((9, 9, 9), 1.0)])
def test_flips_move_image_and_labels_alike(shape: tuple[int, int, int], anisotropy: float) -> None:
    _, labels = patch_of(shape)
    seen_orders = set()
    for seed in range(40):
        seen, target = augment(only("flips"), anisotropy, labels[None].astype(np.float32), labels, seed)
        np.testing.assert_array_equal(seen[0], target)
        np.testing.assert_array_equal(np.bincount(target.ravel()), np.bincount(labels.ravel()))
        seen_orders.add(target.tobytes())
    assert len(seen_orders) >= 6


def test_sections_stay_sections_under_flips_of_anisotropic_cubes() -> None:
    labels = np.broadcast_to(np.arange(8, dtype=np.uint8)[:, None, None], (8, 8, 8))
    tilted = 0
    for seed in range(30):
        _, target = augment(only("flips"), 10, labels[None].astype(np.float32), labels, seed)
        assert all(len(np.unique(section)) == 1 for section in target)
        _, target = augment(only("flips"), 1, labels[None].astype(np.float32), labels, seed)
        tilted += any(len(np.unique(section)) > 1 for section in target)
    assert tilted > 0


@pytest.mark.parametrize("anisotropy", [0.3, 1.0, 1.8, 10.0])
def test_rotation_moves_image_and_labels_alike(anisotropy: float) -> None:
    image, labels = tissue_patch()
    for seed in range(6):
        seen, target = augment(only("affine"), anisotropy, image, labels, seed)
        annotated = target > 0
        assert annotated.mean() > 0.4
        agreement = (np.rint(seen[0]) == target)[annotated].mean()
        assert agreement > 0.9  # interpolation rounds the borders between classes
        assert (np.rint(seen[0]) == labels)[annotated].mean() < agreement - 0.05


def test_rotation_stays_in_the_plane_of_anisotropic_voxels() -> None:
    labels = np.broadcast_to(np.arange(1, 17, dtype=np.uint8)[:, None, None], (16, 32, 32))
    tilted = 0
    for seed in range(8):
        seen, target = augment(only("affine"), 5, labels[None].astype(np.float32), labels, seed)
        for k in range(16):
            assert set(np.unique(target[k])) <= {0, k + 1}
        np.testing.assert_allclose(seen[0], labels, atol=1e-4)
        _, target = augment(only("affine"), 1, labels[None].astype(np.float32), labels, seed)
        tilted += any(len(set(np.unique(section)) - {0}) > 1 for section in target)
    assert tilted >= 6


def test_rotation_ignores_what_was_not_read_and_mirrors_the_image_there() -> None:
    labels = np.ones((4, 32, 32), np.uint8)
    image = np.full((1, 4, 32, 32), 2.5, np.float32)
    n_ignored = 0
    for seed in range(8):
        seen, target = augment(only("affine"), 10, image, labels, seed)
        np.testing.assert_allclose(seen, image, atol=1e-4)
        n_ignored += int((target == 0).sum())
        assert (target[:, 14:18, 14:18] == 1).all()
    assert n_ignored > 0


def test_the_middle_stays_in_the_middle() -> None:
    labels = np.zeros((9, 33, 33), np.uint8)
    labels[3:6, 14:19, 14:19] = 1
    for seed in range(8):
        _, target = augment(only("affine"), 1, labels[None].astype(np.float32), labels, seed)
        np.testing.assert_allclose(np.argwhere(target == 1).mean(axis=0), (4, 16, 16), atol=0.6)


@pytest.mark.parametrize("name", [*CHANNEL_CHANGES, "cut_out", "cut_blur", "cut_noise"])
def test_intensity_changes_leave_the_labels(name: str) -> None:
    image, labels = patch_of((8, 20, 20))
    for seed in range(5):
        _, target = augment(only(name), 1, image, labels, seed)
        np.testing.assert_array_equal(target, labels)


@pytest.mark.parametrize("name", [name for name in OFF if name not in CHANNEL_CHANGES])
@pytest.mark.parametrize("anisotropy", [1.0, 10.0])
def test_channels_move_alike(name: str, anisotropy: float) -> None:
    image, labels = tissue_patch()
    for seed in range(3):
        seen, _ = augment(only(name), anisotropy, np.repeat(image, 2, axis=0), labels, seed)
        if name == "cut_noise":
            changed = seen != image
            np.testing.assert_array_equal(changed[0], changed[1])
        else:
            np.testing.assert_array_equal(seen[0], seen[1])


@pytest.mark.parametrize("name", CHANNEL_CHANGES)
def test_intensities_change_in_each_channel_by_itself(name: str) -> None:
    image, labels = patch_of((12, 20, 20))
    seen, _ = augment(only(name), 1, np.repeat(image, 2, axis=0), labels, 0)
    assert not np.array_equal(seen[0], seen[1])


def test_turns_can_be_on_without_flips_and_off_with_them() -> None:
    """Turned patches of an asymmetric mark: four in the plane, and none mirrored; or mirrored alone."""
    labels = np.zeros((1, 8, 8), np.uint8)
    labels[0, 0, 1], labels[0, 0, 2], labels[0, 3, 0] = 1, 2, 3
    turned = {np.rot90(labels, k, (1, 2)).tobytes() for k in range(4)}
    mirrored = {labels[:, ::a, ::b].tobytes() for a in (1, -1) for b in (1, -1)}
    found = {
        name: {augment(plan, 4, labels[None].astype(np.float32), labels, seed)[1].tobytes() for seed in range(40)}
        for name, plan in {
            "turns": only("turns"),
            "flips": only("flips").model_copy(update={"turns": "never"}),
        }.items()
    }
    assert found["turns"] == turned
    assert found["flips"] == mirrored
    assert Augmentation(flips=True).has_turns
    assert not Augmentation(flips=False).has_turns
    assert not Augmentation(flips=True, turns="never").has_turns


def test_contrast_keeps_the_order_of_intensities() -> None:
    image, labels = patch_of((4, 8, 8))
    seen, _ = augment(only("contrast"), 1, image, labels, 1)
    order = np.argsort(image.ravel())
    assert (np.diff(seen.ravel()[order]) >= -1e-5).all()


def test_a_flat_patch_survives_every_change() -> None:
    image, labels = np.zeros((1, 4, 16, 16), np.float32), np.ones((4, 16, 16), np.uint8)
    seen, _ = augment(only(*OFF), 1, image, labels, 0)
    assert np.isfinite(seen).all()
