"""Rotation invariants of a smoothed image: intensity, gradient, curvature, and local orientation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_EDGE = slice(1, -1)
_LOW, _HIGH = slice(None, -2), slice(2, None)


def n_invariants(volumetric: bool, structure: bool) -> int:
    """Number of maps of a scale, with or without those of the structure tensor."""
    return (5 if volumetric else 4) + (2 if structure else 0)


def of_hessian(smooth: Tensor, z_spacing: float, out: Tensor) -> None:
    """Intensity, gradient magnitude and invariants of the Hessian's eigenvalues.

    Parameters
    ----------
    smooth : Tensor
        Smoothed image, one cell larger on each side than the result (in 2D along y and x only).
    z_spacing : float
        Thickness of a cell over its width.
    out : Tensor
        In 2D (4, z, y, x): intensity, gradient magnitude, trace, half the difference of the eigenvalues. In 3D
        (5, z, y, x): intensity, gradient magnitude, trace, largest and smallest eigenvalue less a third of the trace.
    """
    volumetric = len(out) == 5
    middle = smooth[_EDGE] if volumetric else smooth
    centre = middle[:, _EDGE, _EDGE]
    out[0] = centre
    along_x = smooth[..., _HIGH] - smooth[..., _LOW]
    across = along_x[_EDGE] if volumetric else along_x
    x = across[:, _EDGE]
    y = middle[:, _HIGH, _EDGE] - middle[:, _LOW, _EDGE]
    xx = (middle[:, _EDGE, _HIGH] + middle[:, _EDGE, _LOW]).sub_(centre, alpha=2)
    yy = (middle[:, _HIGH, _EDGE] + middle[:, _LOW, _EDGE]).sub_(centre, alpha=2)
    xy = across[:, _HIGH] - across[:, _LOW]
    square = (x * x).addcmul_(y, y)
    if not volumetric:
        torch.sqrt(square, out=out[1])
        torch.add(xx, yy, out=out[2])
        half = xx.sub_(yy).mul_(0.5)
        torch.sqrt(half.mul_(half).addcmul_(xy, xy, value=1 / 16), out=out[3])
        return
    plane = smooth[:, _EDGE, _EDGE]
    z = plane[_HIGH] - plane[_LOW]
    torch.sqrt(square.addcmul_(z, z, value=z_spacing**-2), out=out[1])
    zz = (plane[_HIGH] + plane[_LOW]).sub_(centre, alpha=2).mul_(z_spacing**-2)
    along_y = smooth[:, _HIGH, _EDGE] - smooth[:, _LOW, _EDGE]
    yz = (along_y[_HIGH] - along_y[_LOW]).mul_(0.25 / z_spacing)
    xz = (along_x[_HIGH, _EDGE] - along_x[_LOW, _EDGE]).mul_(0.25 / z_spacing)
    torch.add(xx, yy, out=out[2]).add_(zz)
    extreme_eigenvalues(xx, yy, zz, xy.mul_(0.25), xz, yz, out[2], out[3], out[4])


def of_structure(smooth: Tensor, gathered: Callable[[Tensor], Tensor]) -> Tensor:
    """Square roots of the eigenvalues of the 2D structure tensor, largest first, (2, z, y, x).

    Parameters
    ----------
    smooth : Tensor
        Smoothed image, larger than the result by one cell and the window's radius along y and x.
    gathered : callable
        Mean of an image over the tensor's window, without its edges.
    """
    x = smooth[:, _EDGE, _HIGH] - smooth[:, _EDGE, _LOW]
    y = smooth[:, _HIGH, _EDGE] - smooth[:, _LOW, _EDGE]
    xx, yy, xy = (gathered(product) for product in (x * x, y * y, x * y))
    mean = (xx + yy).mul_(0.5)
    half = xx.sub_(yy).mul_(0.5)
    spread = half.mul_(half).addcmul_(xy, xy).sqrt_()
    return torch.stack((mean + spread, mean - spread)).clamp_(min=1e-12).sqrt_()


def extreme_eigenvalues(
    xx: Tensor, yy: Tensor, zz: Tensor, xy: Tensor, xz: Tensor, yz: Tensor, trace: Tensor, high: Tensor, low: Tensor
) -> None:
    """Largest and smallest eigenvalue of symmetric 3 x 3 matrices, less a third of the trace; spends the diagonal.

    The trigonometric solution (Smith 1961) needs cos(acos(r) / 3). With s = sqrt((1 + r) / 2) that is
    cos(2 / 3 acos(s)), smooth on [0, 1]: a cubic meets it within 3e-4, at a fraction of the cost.
    """
    third = trace / 3
    a, b, c = xx.sub_(third), yy.sub_(third), zz.sub_(third)
    xy2, xz2, yz2 = xy * xy, xz * xz, yz * yz
    square = (xy2 + xz2).add_(yz2).mul_(2).addcmul_(a, a).addcmul_(b, b).addcmul_(c, c).div_(6)
    radius = square.clamp_(min=1e-18).sqrt()
    determinant = (xy * xz).mul_(yz).mul_(2).addcmul_(a * b, c)
    determinant.addcmul_(a, yz2, value=-1).addcmul_(b, xz2, value=-1).addcmul_(c, xy2, value=-1)
    ratio = determinant.div_(square.mul_(radius)).mul_(0.25).clamp_(-0.5, 0.5)
    radius.mul_(2)
    torch.mul(radius, _third_of_angle((0.5 + ratio).sqrt_()), out=high)
    torch.mul(radius, _third_of_angle(ratio.neg_().add_(0.5).sqrt_()), out=low).neg_()


def _third_of_angle(s: Tensor) -> Tensor:
    """cos(2 / 3 acos(s)) by the cubic with its values and slopes at 0 and 1."""
    return (s * 0.021795).sub_(0.099145).mul_(s).add_(0.577350).mul_(s).add_(0.5)
