"""Every kind of loss honours the mask, and is MONAI's or torch's where everything is annotated."""

from __future__ import annotations

from collections.abc import Callable

import monai.losses
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from napari_pytc.learning.training.losses.centre_lines import soft_centre_lines
from napari_pytc.plans.losses import Activation, LossSettings

SHAPE = (2, 3, 4, 6, 6)
CASES = [(kind, activation) for kind, one in sorted(LossSettings.variants().items()) for activation in one.suits]


def example(activation: Activation, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets that fit the activation, and a mask of about half of the voxels."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(SHAPE, generator=generator)
    if activation == "softmax":
        classes = torch.randint(0, SHAPE[1], (SHAPE[0], *SHAPE[2:]), generator=generator)
        target = functional.one_hot(classes, SHAPE[1]).movedim(-1, 1).float()
        mask = torch.rand(SHAPE[0], 1, *SHAPE[2:], generator=generator) < 0.5
    elif activation == "sigmoid":
        target = (torch.rand(SHAPE, generator=generator) < 0.3).float()
        mask = torch.rand(SHAPE, generator=generator) < 0.5
    else:
        target = torch.rand(SHAPE, generator=generator) * 2 - 1
        mask = torch.rand(SHAPE, generator=generator) < 0.5
    return logits, target, mask


def loss_of(kind: str, activation: Activation, **settings: object) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    built: Callable[[Tensor, Tensor, Tensor], Tensor] = LossSettings.kinds[kind](**settings).build(
        activation, (0, 1, 2)
    )
    return built


@pytest.mark.parametrize(("kind", "activation"), CASES)
class TestMask:
    def test_a_masked_voxel_has_no_gradient_and_another_has_one(self, kind: str, activation: Activation) -> None:
        logits, target, mask = example(activation)
        logits.requires_grad_()
        loss_of(kind, activation)(logits, target, mask).backward()
        assert logits.grad is not None
        inside = mask.expand(SHAPE)
        assert logits.grad[~inside].abs().max() == 0
        assert torch.isfinite(logits.grad).all()
        # Centre lines and the maximum over neighbours leave some voxels without one.
        assert (logits.grad[inside] != 0).float().mean() > (0.2 if kind == "soft_cldice" else 0.99)

    @pytest.mark.parametrize("value", [50.0, -3e4, float("inf"), float("nan")])
    def test_masked_voxels_change_nothing(self, kind: str, activation: Activation, value: float) -> None:
        logits, target, mask = example(activation)
        loss = loss_of(kind, activation)
        other = torch.where(mask, logits, value).requires_grad_()
        found = loss(other, torch.where(mask, target, 1 - target), mask)
        assert torch.equal(found, loss(logits, target, mask))
        found.backward()
        assert other.grad is not None
        assert torch.isfinite(other.grad).all()

    def test_nothing_annotated_is_no_loss_with_a_graph(self, kind: str, activation: Activation) -> None:
        logits, target, mask = example(activation)
        logits.requires_grad_()
        found = loss_of(kind, activation)(logits, target, torch.zeros_like(mask))
        found.backward()
        assert found == 0
        assert logits.grad is not None
        assert not logits.grad.any()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_half_precision_is_summed_in_float32(self, kind: str, activation: Activation, dtype: torch.dtype) -> None:
        logits, target, mask = example(activation)
        loss, half = loss_of(kind, activation), logits.to(dtype)
        found = loss(half, target, mask)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, loss(half.float(), target, mask))
        large = (half * 1e4).clamp(-6e4, 6e4).requires_grad_()
        value = loss(large, target, mask)
        value.backward()
        assert torch.isfinite(value)
        assert large.grad is not None
        assert torch.isfinite(large.grad).all()

    def test_it_learns(self, kind: str, activation: Activation) -> None:
        logits, target, mask = example(activation)
        logits.requires_grad_()
        loss, optimiser = loss_of(kind, activation), torch.optim.Adam([logits], lr=0.1)
        first = float(loss(logits, target, mask).detach())
        for _ in range(10):
            optimiser.zero_grad()
            loss(logits, target, mask).backward()
            optimiser.step()
        assert float(loss(logits, target, mask).detach()) < first


@pytest.mark.parametrize(
    ("kind", "activation"),
    [(k, a) for k, a in CASES if not (a == "softmax" and LossSettings.kinds[k].needs_all_classes)],
)
def test_only_kept_channels_count(kind: str, activation: Activation) -> None:
    logits, target, mask = example(activation)
    settings = LossSettings.kinds[kind]()
    found = settings.build(activation, (1,))(logits, target, mask)
    if activation == "softmax":  # the others only share in the sum
        other = torch.where(torch.tensor([True, False, True])[:, None, None, None], 1 - target, target)
        assert torch.equal(found, settings.build(activation, (1,))(logits, other, mask))
    else:
        alone = settings.build(activation, (0,))(*(v[:, 1:2] for v in (logits, target, mask)))
        torch.testing.assert_close(found, alone)


@pytest.mark.parametrize(("kind", "activation"), [(k, a) for k, a in CASES if not LossSettings.kinds[k].is_spatial])
def test_single_voxels_are_the_same_loss(kind: str, activation: Activation) -> None:
    logits, target, mask = example(activation)
    loss = loss_of(kind, activation)
    rows = (values.movedim(1, -1).flatten(0, -2) for values in (logits, target, mask))
    torch.testing.assert_close(loss(*rows), loss(logits, target, mask))


SAME = {
    ("dice", "softmax"): lambda x, t: monai.losses.DiceLoss(softmax=True, batch=True)(x, t),
    ("dice", "sigmoid"): lambda x, t: monai.losses.DiceLoss(sigmoid=True, batch=True)(x, t),
    ("generalised_dice", "softmax"): lambda x, t: monai.losses.GeneralizedDiceLoss(softmax=True, batch=True)(x, t),
    ("generalised_dice", "sigmoid"): lambda x, t: monai.losses.GeneralizedDiceLoss(sigmoid=True, batch=True)(x, t),
    ("tversky", "softmax"): lambda x, t: monai.losses.TverskyLoss(softmax=True, batch=True)(x, t),
    ("tversky", "sigmoid"): lambda x, t: monai.losses.TverskyLoss(sigmoid=True, batch=True)(x, t),
    ("dice_ce", "softmax"): lambda x, t: monai.losses.DiceCELoss(softmax=True, batch=True)(x, t),
    ("dice_ce", "sigmoid"): lambda x, t: (
        monai.losses.DiceLoss(sigmoid=True, batch=True)(x, t) + functional.binary_cross_entropy_with_logits(x, t)
    ),
    ("dice_focal", "softmax"): lambda x, t: (
        monai.losses.DiceLoss(softmax=True, batch=True)(x, t) + monai.losses.FocalLoss(use_softmax=True)(x, t)
    ),
    ("dice_focal", "sigmoid"): lambda x, t: monai.losses.DiceFocalLoss(sigmoid=True, batch=True)(x, t),
    ("focal", "softmax"): lambda x, t: monai.losses.FocalLoss(use_softmax=True)(x, t),
    ("focal", "sigmoid"): lambda x, t: monai.losses.FocalLoss()(x, t),
    ("soft_cldice", "softmax"): lambda x, t: monai.losses.SoftclDiceLoss(softmax=True)(x, t),
    ("soft_cldice", "sigmoid"): lambda x, t: monai.losses.SoftclDiceLoss(sigmoid=True)(x, t),
    ("ce", "softmax"): functional.cross_entropy,
    ("bce", "sigmoid"): functional.binary_cross_entropy_with_logits,
    ("per_channel_bce", "sigmoid"): lambda x, t: functional.binary_cross_entropy_with_logits(
        x, t, pos_weight=((1 - t).sum((0, 2, 3, 4)) / t.sum((0, 2, 3, 4)))[:, None, None, None]
    ),
    **{
        ("weighted_mse", name): lambda x, t, f=f: functional.mse_loss(f(x), t)
        for name, f in (
            ("tanh", torch.tanh),
            ("none", lambda x: x),
            ("sigmoid", torch.sigmoid),
            ("softmax", lambda x: x.softmax(1)),
        )
    },
    **{
        ("mae", name): lambda x, t, f=f: functional.l1_loss(f(x), t)
        for name, f in (
            ("tanh", torch.tanh),
            ("none", lambda x: x),
            ("sigmoid", torch.sigmoid),
            ("softmax", lambda x: x.softmax(1)),
        )
    },
    **{
        ("smooth_l1", name): lambda x, t, f=f: functional.smooth_l1_loss(f(x), t)
        for name, f in (
            ("tanh", torch.tanh),
            ("none", lambda x: x),
            ("sigmoid", torch.sigmoid),
            ("softmax", lambda x: x.softmax(1)),
        )
    },
}


@pytest.mark.parametrize(("kind", "activation"), CASES)
def test_where_everything_is_annotated_it_is_the_known_loss(kind: str, activation: Activation) -> None:
    logits, target, mask = example(activation)
    expected = SAME[kind, activation](logits, target)
    torch.testing.assert_close(loss_of(kind, activation)(logits, target, torch.ones_like(mask)), expected)


@pytest.mark.parametrize(("kind", "activation"), [case for case in CASES if case[0] != "soft_cldice"])
def test_masked_voxels_are_as_if_they_were_not_there(kind: str, activation: Activation) -> None:
    """The loss of the left half alone is that of the whole with the right half masked."""
    logits, target, _ = example(activation)
    mask = torch.ones(SHAPE[0], 1 if activation == "softmax" else SHAPE[1], *SHAPE[2:], dtype=torch.bool)
    mask[..., 3:] = False
    loss = loss_of(kind, activation)
    alone = loss(logits[..., :3], target[..., :3], mask[..., :3])
    torch.testing.assert_close(loss(logits, target, mask), alone)


def test_a_patch_at_a_time_is_the_mean_over_patches() -> None:
    logits, target, mask = example("sigmoid")
    for kind in ("dice", "tversky", "generalised_dice", "dice_ce", "dice_focal"):
        loss = loss_of(kind, "sigmoid", per_patch=True)
        whole = torch.ones_like(mask)
        each = [loss(*(v[n : n + 1] for v in (logits, target, whole))) for n in range(2)]
        torch.testing.assert_close(loss(logits, target, whole), torch.stack(each).mean())
        empty = whole.clone()
        empty[1] = False
        torch.testing.assert_close(loss(logits, target, empty), each[0])


def test_a_weighted_mask_weighs_voxels() -> None:
    logits, target, mask = example("tanh")
    loss = loss_of("weighted_mse", "tanh")
    n = mask.sum()
    heavy = mask.float()
    heavy[0] *= 3
    halves = [(loss(logits[i : i + 1], target[i : i + 1], mask[i : i + 1]), mask[i].sum()) for i in range(2)]
    (one, n_one), (other, n_other) = halves
    assert n_one + n_other == n
    torch.testing.assert_close(loss(logits, target, heavy), (3 * one * n_one + other * n_other) / (3 * n_one + n_other))


@pytest.mark.parametrize(
    ("kind", "activation"),
    [
        case
        for case in CASES
        if LossSettings.kinds[case[0]].weighs_voxels and case[0] not in ("dice_ce", "dice_focal")  # their Dice does not
    ],
)
def test_a_voxel_of_weight_3_is_three_voxels(kind: str, activation: Activation) -> None:
    logits, target, mask = (values.movedim(1, -1).flatten(0, -2) for values in example(activation))
    heavy = mask.float()
    heavy[:50] *= 3
    tripled = [torch.cat([values[:50], values[:50], values]) for values in (logits, target, mask)]
    loss = loss_of(kind, activation)
    torch.testing.assert_close(loss(logits, target, heavy), loss(*tripled))


def test_soft_centre_lines_have_the_gradient_of_monai() -> None:
    from monai.losses.cldice import soft_skel

    for shape in ((1, 2, 5, 7, 6), (1, 1, 1, 2, 9)):
        regions = torch.rand(shape, generator=torch.Generator().manual_seed(3)).requires_grad_()
        found = []
        for lines in (soft_centre_lines(regions, 3), soft_skel(regions, 3)):
            (gradient,) = torch.autograd.grad((lines * regions.detach()).sum(), regions)
            found += [lines.detach(), gradient]
        torch.testing.assert_close(found[:2], found[2:])


def test_balanced_squares_count_high_and_low_targets_the_same() -> None:
    logits = torch.zeros(1, 1, 1, 1, 10, requires_grad=True)
    target = torch.full((1, 1, 1, 1, 10), -0.5)
    target[..., 0] = 0.5
    loss = LossSettings.kinds["weighted_mse"](balance=1.0).build("tanh", (0,))
    loss(logits, target, torch.ones_like(target)).backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad[..., 0].sum(), -logits.grad[..., 1:].sum())


def test_automatic_weights_of_ones_are_bounded() -> None:
    logits = torch.zeros(1, 1, 1, 1, 100)
    target = torch.zeros_like(logits)
    target[..., 0] = 1
    settings = LossSettings.kinds["per_channel_bce"]
    mask = torch.ones_like(target)
    bounded, free = (settings(largest_pos_weight=n).build("sigmoid", (0,))(logits, target, mask) for n in (10, 1000))
    weight = torch.tensor(0.5).log().neg()
    torch.testing.assert_close(bounded, weight * (99 + 10) / 100)
    torch.testing.assert_close(free, weight * (99 + 99) / 100)


def test_class_weights_and_smoothing_are_torchs() -> None:
    logits, target, mask = example("softmax")
    found = loss_of("ce", "softmax", class_weights=(1.0, 2.0, 0.5), label_smoothing=0.1)(logits, target, mask)
    labels = torch.where(mask[:, 0], target.argmax(1), -100)
    weights = torch.tensor([1.0, 2.0, 0.5])
    torch.testing.assert_close(found, functional.cross_entropy(logits, labels, weights, label_smoothing=0.1))
