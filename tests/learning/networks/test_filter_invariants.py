"""Invariants of smoothed images against linear algebra, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_pytc.learning.networks.filter_invariants import n_invariants, of_hessian, of_structure

SHAPE = (3, 5, 6)


def smooth_image(margin: tuple[int, int, int], seed: int = 0) -> Tensor:
    shape = [n + 2 * m for n, m in zip(SHAPE, margin, strict=True)]
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def differences(image: np.ndarray, at: tuple[int, int, int], z_spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (of two cells, without the half) and Hessian at a cell, z first, by central differences."""
    spacing = np.array([z_spacing, 1.0, 1.0])

    def value(*offset: int) -> float:
        return float(image[tuple(np.add(at, offset))])

    unit = np.eye(3, dtype=int)
    gradient = np.array([value(*unit[a]) - value(*-unit[a]) for a in range(3)]) / spacing
    hessian = np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            if a == b:
                hessian[a, a] = value(*unit[a]) + value(*-unit[a]) - 2 * value(0, 0, 0)
            else:
                hessian[a, b] = (
                    value(*(unit[a] + unit[b]))
                    + value(*(-unit[a] - unit[b]))
                    - value(*(unit[a] - unit[b]))
                    - value(*(unit[b] - unit[a]))
                ) / 4
            hessian[a, b] /= spacing[a] * spacing[b]
    return gradient, hessian


@pytest.mark.parametrize("z_spacing", [1.0, 2.5])
def test_a_volume_has_intensity_gradient_trace_and_extreme_eigenvalues(z_spacing: float) -> None:
    image = smooth_image((1, 1, 1))
    out = torch.zeros((5, *SHAPE), dtype=torch.float64)
    of_hessian(image, z_spacing, out)
    for cell in np.ndindex(SHAPE):
        gradient, hessian = differences(image.numpy(), tuple(i + 1 for i in cell), z_spacing)
        values = np.linalg.eigvalsh(hessian)
        found = out[(slice(None), *cell)].numpy()
        assert found[0] == pytest.approx(float(image[tuple(i + 1 for i in cell)]))
        assert found[1] == pytest.approx(np.linalg.norm(gradient))
        assert found[2] == pytest.approx(np.trace(hessian))
        scale = np.abs(values).max()
        assert found[3] == pytest.approx(values[-1] - np.trace(hessian) / 3, abs=2e-3 * scale)
        assert found[4] == pytest.approx(values[0] - np.trace(hessian) / 3, abs=2e-3 * scale)


def test_a_section_has_half_the_difference_of_its_eigenvalues() -> None:
    image = smooth_image((0, 1, 1))
    out = torch.zeros((4, *SHAPE), dtype=torch.float64)
    of_hessian(image, 1.0, out)
    padded = np.pad(image.numpy(), ((1, 1), (0, 0), (0, 0)), mode="edge")
    for cell in np.ndindex(SHAPE):
        gradient, hessian = differences(padded, (cell[0] + 1, cell[1] + 1, cell[2] + 1), 1.0)
        low, high = np.linalg.eigvalsh(hessian[1:, 1:])
        found = out[(slice(None), *cell)].numpy()
        assert found[1] == pytest.approx(np.linalg.norm(gradient[1:]))
        assert found[2] == pytest.approx(low + high)
        assert found[3] == pytest.approx((high - low) / 2)


def test_the_structure_tensor_tells_how_strong_edges_are_along_and_across() -> None:
    image = smooth_image((0, 2, 2))

    def gathered(product: Tensor) -> Tensor:
        """The mean over 3 x 3 cells, without the edges."""
        return torch.nn.functional.avg_pool2d(product[:, None], 3, 1)[:, 0]

    found = of_structure(image, gathered)
    assert found.shape == (2, *SHAPE)
    array = image.numpy()
    gx = array[:, 1:-1, 2:] - array[:, 1:-1, :-2]
    gy = array[:, 2:, 1:-1] - array[:, :-2, 1:-1]
    for z, y, x in np.ndindex(SHAPE):
        window = (z, slice(y, y + 3), slice(x, x + 3))
        tensor = np.array(
            [[(gx * gx)[window].mean(), (gx * gy)[window].mean()], [(gx * gy)[window].mean(), (gy * gy)[window].mean()]]
        )
        low, high = np.linalg.eigvalsh(tensor)
        assert float(found[0, z, y, x]) == pytest.approx(np.sqrt(high), rel=1e-6)
        assert float(found[1, z, y, x]) == pytest.approx(np.sqrt(max(low, 1e-12)), rel=1e-4, abs=1e-5)


def test_an_image_without_change_has_its_intensity_alone() -> None:
    out = torch.full((5, *SHAPE), 7.0)
    of_hessian(torch.full([n + 2 for n in SHAPE], 3.0), 1.5, out)
    assert (out[0] == 3).all()
    assert out[1:].abs().max() < 1e-6
    flat = of_structure(torch.full((SHAPE[0], SHAPE[1] + 2, SHAPE[2] + 2), 3.0), lambda product: product)
    assert flat.max() < 1e-5


@pytest.mark.parametrize(
    ("volumetric", "structure", "n"), [(True, True, 7), (True, False, 5), (False, True, 6), (False, False, 4)]
)
def test_how_many_maps_a_scale_has(volumetric: bool, structure: bool, n: int) -> None:
    assert n_invariants(volumetric, structure) == n
