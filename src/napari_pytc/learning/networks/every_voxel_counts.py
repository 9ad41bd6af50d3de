"""Operations of a network whose gradient depends on the image, replaced by ones that reach as far for any image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from napari_pytc.errors import ModelError


class EveryVoxelCounts(TorchFunctionMode):
    """Operations whose gradient is zero for some images, replaced by ones of the same reach whose gradient never is.

    Which voxel of a window is its maximum depends on the image, and so does which voxels a rectified or clamped unit
    passes on: the gradient at one image misses what counts in another. A mean depends on its whole window, a leaky unit
    on all that comes in, a difference on both sides of a comparison. What has no such replacement, as sorting or the
    index of a maximum, is refused.

    Raises
    ------
    ModelError
        In a network with an operation whose reach cannot be measured.
    """

    hint: ClassVar[str] = (
        'Let it override `limits`, or let its settings return "windows" from `tiles`: it is then predicted in '
        "overlapping windows."
    )

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """See `TorchFunctionMode`."""
        kwargs = kwargs or {}
        if not any(tensor.requires_grad for tensor in _tensors((args, list(kwargs.values())))):
            return function(*args, **kwargs)
        if function in _UNMEASURABLE or _is_largest_norm(function, (*args, *kwargs.values())):
            raise self._refusal(function)
        found = _REPLACED.get(function, function)(*args, **kwargs)
        if function not in _OF_SHAPES and not all(_carries_gradients(tensor) for tensor in _tensors(found)):
            raise self._refusal(function)
        return found

    def _refusal(self, function: Callable[..., Any]) -> ModelError:
        name = getattr(function, "__name__", str(function)).strip("_")
        return ModelError(f"It cannot be measured how far a network looks that has the operation {name!r}.", self.hint)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in an argument or a result."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _carries_gradients(tensor: Tensor) -> bool:
    """Whether what a tensor depends on can be found by its gradient; not so for indices and truth values."""
    return tensor.is_floating_point() or tensor.is_complex()


def _is_largest_norm(function: Callable[..., Any], arguments: Sequence[Any]) -> bool:
    """Whether a norm is the largest value; its gradient is that of one voxel."""
    return "norm" in getattr(function, "__name__", "") and any(
        isinstance(one, float) and math.isinf(one) for one in arguments
    )


# ---- pooling


def _mean_pool(n_axes: int) -> Callable[..., Tensor]:
    """The mean of the windows of which a pooling takes the maximum."""
    pool = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[n_axes - 1]
    highest = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[n_axes - 1]

    def mean(image: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        size, stride, padding, dilation, ceil_mode, *_ = _pool_arguments(*args, **kwargs)
        sizes, edges, widths = (
            [one] * n_axes if isinstance(one, int) else list(one) for one in (size, padding, dilation)
        )
        # Voxels between those of a dilated window count, too: the reach of the window is the same.
        spread = [(n - 1) * width + 1 for n, width in zip(sizes, widths, strict=True)]
        around = functional.pad(image, [edge for edge in reversed(edges) for _ in range(2)])
        shape = highest(image, *args, **kwargs).shape[2:]
        found: Tensor = pool(around, spread, size if stride is None else stride, 0, ceil_mode)
        for axis, n in enumerate(shape):
            found = found.narrow(axis + 2, 0, n)
        return found

    return mean


def _pool_arguments(
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Any, Any, Any, Any, bool, bool]:
    return kernel_size, stride, padding, dilation, ceil_mode, return_indices


def _mean_of_cells(n_axes: int) -> Callable[..., Tensor]:
    """The mean of the cells of which an adaptive pooling takes the maximum."""
    pools = (functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d, functional.adaptive_avg_pool3d)
    pool = pools[n_axes - 1]

    def mean(image: Tensor, output_size: Any, return_indices: bool = False) -> Tensor:
        found: Tensor = pool(image, output_size)
        return found

    return mean


# ---- one value of several


def _mean(input: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> Tensor:
    """The mean along axes, in place of the largest or smallest value."""
    return input.mean() if dim is None or dim == () else input.mean(dim, keepdim=keepdim)


def _mean_or_sum(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """What stands for the maximum of two tensors, of all values, or along an axis.

    Along an axis its index is asked for, too: the mean again, which cannot be used as one.
    """
    other = kwargs.get("other", args[0] if args else None)
    if isinstance(other, Tensor):
        return input + other
    dim = kwargs.get("dim", other)
    if dim is None:
        return input.mean()
    keepdim = kwargs.get("keepdim", args[1] if len(args) > 1 else False)
    values = input.mean(dim, keepdim=keepdim)
    return torch.return_types.max((values, values))


def _sum(input: Tensor, other: Any, **_: Any) -> Tensor:
    return input + other


def _sum_of_range(input: Tensor, *, dim: Any = None, keepdim: bool = False) -> Any:
    return (_mean(input, dim, keepdim),) * 2


# ---- rectified, clamped, rounded


def _leaky(input: Tensor, *_: Any, **__: Any) -> Tensor:
    return functional.leaky_relu(input, 0.5)


def _same(input: Tensor, *_: Any, **__: Any) -> Tensor:
    return input * 1.0


def _with_bounds(input: Tensor, *bounds: Any, **named: Any) -> Tensor:
    """A tensor together with the tensors that bound it; bounds that are numbers do not look anywhere."""
    found = input * 1.0
    for bound in (*bounds, *named.values()):
        found = found + bound if isinstance(bound, Tensor) else found
    return found


# ---- conditions


def _difference(input: Any, other: Any, **_: Any) -> Any:
    """A comparison as a number that depends on both sides."""
    if other is None or isinstance(other, str):
        return False
    return input - other


def _either(input: Any, other: Any = 0, **_: Any) -> Any:
    return input + other


def _chosen(condition: Tensor, *values: Any, **named: Any) -> Tensor:
    """Both of the values that a condition chooses from, and the condition."""
    if not (values or named):
        raise ModelError(
            "It cannot be measured how far a network looks that lists where a condition holds.", EveryVoxelCounts.hint
        )
    first, second = (*values, *named.values())
    return first + second + condition


def _chosen_instead(input: Tensor, condition: Tensor, other: Any) -> Tensor:
    return input + condition + other


def _filled(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    return input + mask + (value if isinstance(value, Tensor) else 0.0)


def _all_of(names: Sequence[str], *places: Any) -> list[Any]:
    """The functions of these names, as far as there are such, also those that change a tensor in place."""
    each = [name for one in names for name in (one, f"{one}_", f"__{one}__")]
    return [getattr(place, name) for place in places for name in each if hasattr(place, name)]


_REPLACED: Mapping[Any, Callable[..., Any]] = {
    **{function: _mean_pool(1) for function in (functional.max_pool1d, torch.max_pool1d)},
    **{function: _mean_pool(2) for function in (functional.max_pool2d, torch.max_pool2d)},
    **{function: _mean_pool(3) for function in (functional.max_pool3d, torch.max_pool3d)},
    functional.adaptive_max_pool1d: _mean_of_cells(1),
    functional.adaptive_max_pool2d: _mean_of_cells(2),
    functional.adaptive_max_pool3d: _mean_of_cells(3),
    **dict.fromkeys(_all_of(["amax", "amin"], torch, Tensor), _mean),
    **dict.fromkeys(_all_of(["aminmax"], torch, Tensor), _sum_of_range),
    **dict.fromkeys(_all_of(["max", "min"], torch, Tensor), _mean_or_sum),
    **dict.fromkeys(_all_of(["maximum", "minimum", "fmax", "fmin"], torch, Tensor), _sum),
    **dict.fromkeys(_all_of(["relu", "threshold"], torch, Tensor, functional), _leaky),
    **dict.fromkeys(_all_of(["relu6", "hardtanh", "hardswish", "hardsigmoid"], functional), _leaky),
    **dict.fromkeys(_all_of(["hardshrink", "softshrink"], torch, Tensor, functional), _same),
    **dict.fromkeys(_all_of(["floor", "ceil", "round", "trunc", "fix", "sign", "sgn", "frac"], torch, Tensor), _same),
    **dict.fromkeys(_all_of(["clamp", "clip", "clamp_min", "clamp_max"], torch, Tensor), _with_bounds),
    **dict.fromkeys(_all_of(["gt", "ge", "lt", "le", "eq", "ne", "heaviside"], torch, Tensor), _difference),
    **dict.fromkeys(_all_of(["logical_and", "logical_or", "logical_xor", "and", "or", "xor"], torch, Tensor), _either),
    **dict.fromkeys(_all_of(["logical_not", "invert", "bitwise_not"], torch, Tensor), _same),
    torch.where: _chosen,
    Tensor.where: _chosen_instead,
    **dict.fromkeys(_all_of(["masked_fill"], torch, Tensor), _filled),
}

_UNMEASURABLE = frozenset(
    [
        *_all_of(["median", "nanmedian", "quantile", "nanquantile", "detach", "masked_select"], torch, Tensor),
        functional.fractional_max_pool2d,
        functional.fractional_max_pool3d,
        functional.gumbel_softmax,
        *(Tensor.__bool__, Tensor.__float__, Tensor.__int__, Tensor.__index__),
        *(Tensor.item, Tensor.tolist, Tensor.numpy, Tensor.data.__get__),  # type: ignore[attr-defined]
    ]
)
"""Operations of whose result the gradient does not tell what it depends on."""

_OF_SHAPES = frozenset(
    [
        *_all_of(["zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like"], torch),
        *_all_of(["new_zeros", "new_ones", "new_full", "new_empty", "new_tensor"], Tensor),
        *_all_of(["isfinite", "isnan", "isinf"], torch, Tensor),
    ]
)
"""Operations that may return indices or truth values, and are the same for any image of finite numbers."""
