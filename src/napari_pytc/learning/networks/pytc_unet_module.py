"""U-Nets and feature pyramid of the first PyTorch Connectomics (Lin et al. 2021, arXiv:2112.05754).

Weights have the names that its version 1.0 gives them, for the blocks that it has, so that its models load as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.networks.recompute import recompute
from napari_pytc.learning.networks.sections import section_by_section
from napari_pytc.plans.networks.pytc_unet import ActivationName, FPN3DNetwork, UNet2DNetwork, UNet3DNetwork

Settings = UNet3DNetwork | UNet2DNetwork | FPN3DNetwork
_FLAT: Shape = (1, 3, 3)
_SLOPE = 0.2


class UNet3D(Network):
    """The U-Net: a convolution and a block a level, interpolation and a sum on the way up."""

    def __init__(
        self, n_inputs: int, n_outputs: int, isotropic: tuple[bool, ...], settings: UNet3DNetwork | UNet2DNetwork
    ) -> None:
        super().__init__()
        widths, strides = settings.channels, [_stride(one) for one in isotropic]
        self._has_pooling = settings.pooling
        edge = _edge_kernel(all(isotropic))
        self.conv_in = _convolution(n_inputs, widths[0], edge, settings)
        self.conv_out = _last_convolution(widths[0], n_outputs, edge, settings)
        down: list[nn.Module] = []
        for level, (width, one) in enumerate(zip(widths, isotropic, strict=True)):
            stride = strides[level] if level else (1, 1, 1)
            is_pooled = settings.pooling and level > 0
            down.append(
                nn.Sequential(
                    nn.MaxPool3d(stride, stride) if is_pooled else nn.Identity(),
                    _convolution(
                        widths[max(level - 1, 0)], width, _kernel(one), settings, (1, 1, 1) if is_pooled else stride
                    ),
                    _block(width, settings),
                    nn.Dropout3d(settings.dropout),
                )
            )
        self.down_layers = nn.ModuleList(down)
        self.up_layers = nn.ModuleList(
            nn.ModuleList([_convolution(deep, fine, _kernel(one), settings), _block(fine, settings)])
            for (fine, deep), one in zip(pairwise(widths), isotropic[1:], strict=True)
        )
        _initialise(self)
        self.level_heads = _heads(widths[1:], n_outputs, settings)
        self.non_local: nn.Module = _NonLocal(widths[-1], settings) if settings.non_local else nn.Identity()
        # A convolution of single voxels is padded by one there, and what comes out is resized afterwards.
        margin = (0, 1, 1) if isinstance(settings, UNet2DNetwork) else (1, 1, 1)
        self.feat_layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv3d(widths[-1], width, 1, padding=margin, bias=False, padding_mode=settings.padding),
                _norm(width, settings),
                _activation(settings.activation),
            )
            for width in widths[:-1]
            if settings.non_local
        )
        if settings.checkpointing:
            recompute([self.conv_in, *self.down_layers, *(m for up in self.up_layers for m in up.children())])

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the finest level."""
        logits: Tensor = self.conv_out(self._features(image)[0])
        return logits

    def training_logits(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits of all supervised levels."""
        finest, *coarse = self._features(image)
        return (self.conv_out(finest), *(head(level) for head, level in zip(self.level_heads, coarse, strict=False)))

    def _features(self, image: Tensor) -> list[Tensor]:
        """Features of all levels, the finest first."""
        features: Tensor = self.conv_in(image)
        skipped = []
        for down in self.down_layers:
            features = down(features)
            skipped.append(features)
        found = [self.non_local(skipped.pop())]
        for level, (convolution, block) in reversed(list(enumerate(tuple(up.children()) for up in self.up_layers))):
            fine = skipped.pop()
            fine = self._resized(convolution(found[-1]), fine) + fine
            if len(self.feat_layers):
                fine = self._resized(self.feat_layers[level](found[0]), fine) + fine
            found.append(block(fine))
        return found[::-1]

    def _resized(self, features: Tensor, like: Tensor) -> Tensor:
        """Features at the resolution of others."""
        size, has_corners = like.shape[2:], not self._has_pooling
        return functional.interpolate(features, size=size, mode="trilinear", align_corners=has_corners)


class UNet2D(UNet3D):
    """The 2D U-Net: the same, on sections as the images of a batch."""

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the finest level."""
        return section_by_section(lambda sections: UNet3D.forward(self, sections[:, :, None])[:, :, 0], image)

    def training_logits(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits of all supervised levels."""

        def of_sections(sections: Tensor) -> tuple[Tensor, ...]:
            return tuple(level[:, :, 0] for level in UNet3D.training_logits(self, sections[:, :, None]))

        return section_by_section(of_sections, image)


class FPN3D(Network):
    """The feature pyramid: a residual network, whose levels are brought together from the deepest to the finest."""

    def __init__(self, n_inputs: int, n_outputs: int, isotropic: tuple[bool, ...], settings: FPN3DNetwork) -> None:
        super().__init__()
        widths, edge = settings.channels, _edge_kernel(isotropic[0])
        layers: dict[str, nn.Module] = {"layer0": _convolution(n_inputs, widths[0], edge, settings)}
        numbers = zip(pairwise(widths), isotropic[1:], settings.level_blocks(), strict=True)
        for level, ((n_in, n_out), one, n_blocks) in enumerate(numbers, start=1):
            first = _Residual(n_in, n_out, settings, _kernel(one), _stride(one))
            more = [_Residual(n_out, n_out, settings, _kernel(one)) for _ in range(n_blocks - 1)]
            layers[f"layer{level}"] = nn.Sequential(first, *more)
        self.backbone = nn.ModuleDict(layers)
        self.latlayers = nn.ModuleList(_convolution(width, widths[0], (1, 1, 1), settings) for width in widths)
        self.smooth = nn.ModuleList(_convolution(widths[0], widths[0], _kernel(one), settings) for one in isotropic)
        self.conv_out = _last_convolution(widths[0], n_outputs, edge, settings)
        self.dropout = nn.Dropout3d(settings.dropout)
        _initialise(self)
        self.level_heads = _heads([widths[0]] * (len(widths) - 1), n_outputs, settings)
        if settings.checkpointing:
            recompute([*self.backbone.values(), *self.latlayers, *self.smooth])

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the finest level."""
        logits: Tensor = self.conv_out(self.smooth[0](self._features(image)[0]))
        return logits

    def training_logits(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits of all supervised levels."""
        finest, *coarse = self._features(image)
        heads = zip(self.level_heads, coarse, strict=False)
        return (self.conv_out(self.smooth[0](finest)), *(head(level) for head, level in heads))

    def _features(self, image: Tensor) -> list[Tensor]:
        """Features of all levels of the pyramid, the finest first."""
        features, levels = image, []
        for layer, lateral in zip(self.backbone.values(), self.latlayers, strict=True):
            features = self.dropout(layer(features))
            levels.append(lateral(features))
        found = [levels[-1]]
        for level in reversed(range(len(levels) - 1)):
            fine = levels[level]
            upsampled = functional.interpolate(found[-1], size=fine.shape[2:], mode="trilinear", align_corners=True)
            found.append(self.smooth[level + 1](upsampled) + fine)
        return found[::-1]


class _Residual(nn.Module):
    """Two convolutions, perhaps with squeeze-excitation, added to what came in."""

    def __init__(
        self, n_in: int, n_out: int, settings: Settings, kernel: Shape = _FLAT, stride: Shape = (1, 1, 1)
    ) -> None:
        super().__init__()
        is_first, is_excited = "pa" in settings.block.split("_"), "se" in settings.block.split("_")
        convolution = _convolution_last if is_first else _convolution
        self.conv: nn.Module = nn.Sequential(
            convolution(n_in, n_out, kernel, settings, stride),
            _convolution_last(n_out, n_out, kernel, settings)
            if is_first
            else _convolution(n_out, n_out, kernel, settings, activation="none"),
        )
        if is_excited:
            # Its perceptron's activation is relu where the blocks of version 1.0 were not told another.
            self.conv = nn.Sequential(self.conv, _SqueezeExcitation(n_out, settings))
        is_same = n_in == n_out and max(stride) == 1
        self.projector = (
            nn.Identity() if is_same else _convolution(n_in, n_out, (1, 1, 1), settings, stride, activation="none")
        )
        self.act = nn.Identity() if is_first else _activation(settings.activation)

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.act(self.conv(image) + self.projector(image))
        return found


class _Dense(nn.Module):
    """Two convolutions that each see all features before them, and one that brings their number back."""

    def __init__(self, width: int, settings: Settings) -> None:
        super().__init__()
        growth = max(1, width // 2)
        self.first = _convolution(width, growth, _FLAT, settings)
        self.second = _convolution(width + growth, growth, _FLAT, settings)
        self.last = _convolution(width + 2 * growth, width, (1, 1, 1), settings)

    def forward(self, image: Tensor) -> Tensor:
        both = torch.cat([image, self.first(image)], dim=1)
        found: Tensor = self.last(torch.cat([both, self.second(both)], dim=1))
        return found


class _SqueezeExcitation(nn.Module):
    """Weights of the channels from their means over the image (Hu et al. 2018)."""

    def __init__(self, width: int, settings: Settings) -> None:
        super().__init__()
        n_squeezed = max(1, width // settings.squeezed_by)
        self.fc = nn.Sequential(
            nn.Linear(width, n_squeezed, bias=False),
            _activation(settings.activation),
            nn.Linear(n_squeezed, width, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, image: Tensor) -> Tensor:
        weights: Tensor = self.fc(image.mean(dim=(2, 3, 4)))
        return image * weights[:, :, None, None, None]


class _NonLocal(nn.Module):
    """What each voxel finds at all others, weighted by how they match (Wang et al. 2018, non-local networks)."""

    def __init__(self, width: int, settings: Settings) -> None:
        super().__init__()
        inner = max(1, width // 2)
        self.g, self.theta, self.phi = (nn.Conv3d(width, inner, 1) for _ in range(3))
        norm = _norm(width, settings)
        self.W = nn.Sequential(nn.Conv3d(inner, width, 1), norm)
        if isinstance(norm, nn.BatchNorm3d | nn.GroupNorm):
            nn.init.zeros_(norm.weight)  # it begins as the identity

    def forward(self, image: Tensor) -> Tensor:
        values, queries, keys = (layer(image).flatten(2).transpose(1, 2) for layer in (self.g, self.theta, self.phi))
        found = functional.scaled_dot_product_attention(queries, keys, values, scale=1.0)
        added: Tensor = self.W(found.transpose(1, 2).reshape(image.shape[0], -1, *image.shape[2:]))
        return added + image


def build_unet_2d(settings: UNet2DNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> UNet2D:
    """The network with random weights."""
    return UNet2D(n_inputs, n_classes, settings.isotropic_levels(space), settings)


def build_unet_3d(settings: UNet3DNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> UNet3D:
    """The network with random weights."""
    return UNet3D(n_inputs, n_classes, settings.isotropic_levels(space), settings)


def build_fpn_3d(settings: FPN3DNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> FPN3D:
    """The network with random weights."""
    return FPN3D(n_inputs, n_classes, settings.isotropic_levels(space), settings)


def _block(width: int, settings: UNet3DNetwork | UNet2DNetwork) -> nn.Module:
    if settings.block == "dense":
        return _Dense(width, settings)
    if settings.block == "plain":
        return _convolution(width, width, _FLAT, settings)
    return _Residual(width, width, settings)


def _convolution(
    n_in: int,
    n_out: int,
    kernel: Shape,
    settings: Settings,
    stride: Shape = (1, 1, 1),
    activation: ActivationName | None = None,
) -> nn.Sequential:
    """A convolution, then norm and activation."""
    return nn.Sequential(
        _bare_convolution(n_in, n_out, kernel, settings, stride),
        _norm(n_out, settings),
        _activation(settings.activation if activation is None else activation),
    )


def _convolution_last(
    n_in: int, n_out: int, kernel: Shape, settings: Settings, stride: Shape = (1, 1, 1)
) -> nn.Sequential:
    """Norm and activation, then a convolution."""
    return nn.Sequential(
        _norm(n_in, settings),
        _activation(settings.activation),
        _bare_convolution(n_in, n_out, kernel, settings, stride),
    )


def _last_convolution(n_in: int, n_out: int, kernel: Shape, settings: Settings) -> nn.Sequential:
    return nn.Sequential(_bare_convolution(n_in, n_out, kernel, settings, bias=True))


def _bare_convolution(
    n_in: int, n_out: int, kernel: Shape, settings: Settings, stride: Shape = (1, 1, 1), bias: bool = False
) -> nn.Conv3d:
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    # Where nothing is padded the mode does not matter, but anything but zeros costs a copy.
    mode = settings.padding if any(padding) else "zeros"
    return nn.Conv3d(n_in, n_out, kernel, stride, padding, bias=bias, padding_mode=mode)


def _norm(width: int, settings: Settings) -> nn.Module:
    if settings.norm == "batch":
        return nn.BatchNorm3d(width)
    if settings.norm == "instance":
        return nn.InstanceNorm3d(width)
    return nn.GroupNorm(settings.n_groups, width) if settings.norm == "group" else nn.Identity()


def _activation(name: ActivationName) -> nn.Module:
    if name == "leaky_relu":
        return nn.LeakyReLU(_SLOPE)
    kinds: dict[str, type[nn.Module]] = {"elu": nn.ELU, "relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}
    return kinds.get(name, nn.Identity)()


def _heads(widths: Iterable[int], n_outputs: int, settings: Settings) -> nn.ModuleList:
    """Logits of the coarser levels, none without deep supervision."""
    return nn.ModuleList(nn.Conv3d(n, n_outputs, 1) for n in widths if settings.deep_supervision)


def _kernel(is_isotropic: bool) -> Shape:
    return (3, 3, 3) if is_isotropic else _FLAT


def _stride(is_isotropic: bool) -> Shape:
    return (2, 2, 2) if is_isotropic else (1, 2, 2)


def _edge_kernel(is_isotropic: bool) -> Shape:
    return (5, 5, 5) if is_isotropic else (1, 5, 5)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv3d | nn.Linear):
            nn.init.orthogonal_(module.weight)
