from __future__ import annotations

import pytest
import torch

from napari_pytc.geometry import Box
from napari_pytc.learning.networks.ensemble import agreement_of
from napari_pytc.learning.networks.filter_bank import FilterBank


def bank(seed: int, n_classes: int = 3, sigmas: tuple[float, ...] = (0.7, 2.0), hidden: int = 8) -> FilterBank:
    """A filter bank that tells noise into classes, each as often as any other, and is sure of it."""
    torch.manual_seed(seed)
    found = FilterBank(sigmas, (hidden, 5), "2d", 4.0, n_classes).eval()
    seen = found.features(torch.randn(1, 1, 3, 40, 48)).flatten(2)[0].T
    found.fit_normalisation(seen * torch.linspace(1, 2, found.n_features))
    last = found.head[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.weight.mul_(30)
        last.bias.sub_(found.classify(seen).mean(0))
    return found


def test_two_filter_banks_answer_as_one_with_their_mean_probability() -> None:
    one, other, image = bank(1), bank(2, hidden=13), torch.randn(2, 1, 3, 40, 48)
    inner = Box((0, 8, 8), (3, 32, 40))
    kept = [{name: tensor.clone() for name, tensor in each.state_dict().items()} for each in (one, other)]

    found = agreement_of(one, other)(image, inner).softmax(1)

    wanted = (one(image, inner).softmax(1) + other(image, inner).softmax(1)) / 2
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)
    differ = one(image, inner).argmax(1) != other(image, inner).argmax(1)
    assert differ.any()
    assert found.amax(1)[differ].max() < 0.8, "sure where the two contradict one another"
    for each, before in zip((one, other), kept, strict=True):
        assert all(torch.equal(tensor, before[name]) for name, tensor in each.state_dict().items())


def test_features_are_classified_alike() -> None:
    one, other, rows = bank(3), bank(4), torch.randn(20, bank(3).n_features)

    found = agreement_of(one, other).classify(rows).exp()

    torch.testing.assert_close(found.sum(1), torch.ones(20))
    wanted = (one.classify(rows).softmax(1) + other.classify(rows).softmax(1)) / 2
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("changes", [{"n_classes": 2}, {"sigmas": (0.7, 3.5)}])
def test_what_cannot_be_compared_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="same filters and the same classes"):
        agreement_of(bank(1), bank(2, **changes))  # type: ignore[arg-type]
