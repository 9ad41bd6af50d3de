"""The residual symmetric U-Net (Lee et al. 2017, "Superhuman accuracy on the SNEMI3D connectomics challenge").

Weights have the names that PyTorch Connectomics gives them, so that its models load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.networks.recompute import recompute
from napari_pytc.plans.networks.rsunet import RSUNetNetwork

_N_SUPERVISED = 4
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leakyrelu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "elu": nn.ELU,
}


class _NormActivation(nn.Module):
    """A norm, then an activation."""

    def __init__(self, channels: int, settings: RSUNetNetwork) -> None:
        super().__init__()
        self.norm = _norm(channels, settings)
        self.act = _ACTIVATIONS[settings.activation]()

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.act(self.norm(image))
        return found


class _Residual(nn.Module):
    """Norm, activation and convolution, twice, added to what came in."""

    def __init__(self, channels: int, kernel: Shape, settings: RSUNetNetwork) -> None:
        super().__init__()
        self.norm_act1 = _NormActivation(channels, settings)
        self.conv1 = _convolution(channels, channels, kernel)
        self.norm_act2 = _NormActivation(channels, settings)
        self.conv2 = _convolution(channels, channels, kernel)
        # Without a norm PyTorch Connectomics activates in place, and so adds what is activated.
        self._adds_activated = settings.norm == "none" and settings.activation != "prelu"

    def forward(self, image: Tensor) -> Tensor:
        first = self.norm_act1(image)
        found: Tensor = self.conv2(self.norm_act2(self.conv1(first)))
        return found + (first if self._adds_activated else image)


class _Level(nn.Module):
    """The blocks of a level: a convolution, two with a residual, and one more."""

    def __init__(self, n_in: int, n_out: int, kernel: Shape, settings: RSUNetNetwork) -> None:
        super().__init__()
        self.pre = nn.Sequential(_NormActivation(n_in, settings), _convolution(n_in, n_out, kernel))
        self.res = _Residual(n_out, kernel, settings)
        self.post = nn.Sequential(_NormActivation(n_out, settings), _convolution(n_out, n_out, kernel))
        self.dropout = nn.Dropout3d(settings.dropout)

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.dropout(self.post(self.res(self.pre(image))))
        return found


class _Down(nn.Module):
    """The maximum of blocks of voxels, then a level."""

    def __init__(self, n_in: int, n_out: int, stride: Shape, kernel: Shape, settings: RSUNetNetwork) -> None:
        super().__init__()
        self.pool = nn.MaxPool3d(stride)
        self.conv = _Level(n_in, n_out, kernel, settings)

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.conv(self.pool(image))
        return found


class _Interpolation(nn.Module):
    """Linear interpolation by a transposed convolution with fixed weights.

    The weights are a part of the state: those of PyTorch Connectomics are constant along z.
    """

    weight: Tensor

    def __init__(self, channels: int, stride: Shape) -> None:
        super().__init__()
        self._stride = stride
        self._padding = [s // 2 for s in stride]
        z, y, x = (_tent(s) for s in stride)
        weight = z[:, None, None] * y[:, None] * x
        self.register_buffer("weight", weight.expand(channels, 1, *weight.shape).clone())

    def forward(self, image: Tensor) -> Tensor:
        return functional.conv_transpose3d(
            image, self.weight, stride=self._stride, padding=self._padding, groups=len(self.weight)
        )


class _Up(nn.Module):
    """Interpolation, a sum with what was skipped, then a level."""

    def __init__(self, n_in: int, n_out: int, stride: Shape, kernel: Shape, settings: RSUNetNetwork) -> None:
        super().__init__()
        self.up = _Interpolation(n_in, stride)
        self.proj = nn.Conv3d(n_in, n_out, 1, bias=False)
        self.conv = _Level(n_out, n_out, kernel, settings)

    def forward(self, image: Tensor, skipped: Tensor) -> Tensor:
        found: Tensor = self.conv(self.proj(self.up(image)) + skipped)
        return found


class RSUNet(Network):
    """The residual symmetric U-Net.

    Parameters
    ----------
    strides : sequence of Shape
        Between the levels.
    """

    def __init__(self, n_inputs: int, n_outputs: int, strides: Sequence[Shape], settings: RSUNetNetwork) -> None:
        super().__init__()
        widths, kernels = settings.channels, settings.kernels()
        self.input_conv = _Level(n_inputs, widths[0], kernels[0], settings)
        steps = list(zip(pairwise(widths), strides, pairwise(kernels), strict=True))
        self.down_blocks = nn.ModuleList(
            _Down(finer, coarser, stride, kernel, settings) for (finer, coarser), stride, (_, kernel) in steps
        )
        self.up_blocks = nn.ModuleList(
            _Up(coarser, finer, stride, kernel, settings) for (finer, coarser), stride, (kernel, _) in reversed(steps)
        )
        self.final_norm = _NormActivation(widths[0], settings)
        self.output_head = nn.Conv3d(widths[0], n_outputs, 1)
        n_supervised = min(_N_SUPERVISED, len(steps)) if settings.deep_supervision else 0
        self._levels_supervised = list(range(1, n_supervised + 1))
        # From the deepest to the finest, as they are stored.
        self.ds_heads = nn.ModuleList(nn.Conv3d(widths[n], n_outputs, 1) for n in reversed(self._levels_supervised))
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if settings.checkpointing:
            recompute([module for module in self.modules() if isinstance(module, _Level)])

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the finest level."""
        logits: Tensor = self.output_head(self.final_norm(self._features(image)[0]))
        return logits

    def training_logits(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits of all supervised levels."""
        features = self._features(image)
        heads = zip(self._levels_supervised, reversed(self.ds_heads), strict=True)
        return (self.output_head(self.final_norm(features[0])), *(head(features[level]) for level, head in heads))

    def _features(self, image: Tensor) -> list[Tensor]:
        """Features of all levels, the finest first."""
        features: Tensor = self.input_conv(image)
        skipped = []
        for down in self.down_blocks:
            skipped.append(features)
            features = down(features)
        found = [features]
        for up in self.up_blocks:
            found.append(up(found[-1], skipped.pop()))
        return found[::-1]


def build_rsunet(settings: RSUNetNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> RSUNet:
    """The network with random weights."""
    return RSUNet(n_inputs, n_classes, settings.level_strides(space), settings)


def _convolution(n_in: int, n_out: int, kernel: Shape) -> nn.Conv3d:
    return nn.Conv3d(n_in, n_out, kernel, padding=(kernel[0] // 2, kernel[1] // 2, kernel[2] // 2), bias=False)


def _norm(channels: int, settings: RSUNetNetwork) -> nn.Module:
    if settings.norm == "batch":
        return nn.BatchNorm3d(channels)
    if settings.norm == "instance":
        return nn.InstanceNorm3d(channels)
    if settings.norm == "group":
        n_groups = next(n for n in range(min(settings.groups, channels), 0, -1) if channels % n == 0)
        return nn.GroupNorm(n_groups, channels)
    return nn.Identity()


def _tent(stride: int) -> Tensor:
    """Weights of linear interpolation by a factor: 1 at the voxel, less to its neighbours."""
    n = 2 * stride - stride % 2
    half = -(-n // 2)
    centre = (n - 1) / (2 * half)
    return 1 - (torch.arange(n) / half - centre).abs()
