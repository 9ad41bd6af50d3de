"""MedNeXt (Roy et al. 2023, "MedNeXt: transformer-driven scaling of ConvNets for medical image segmentation").

::

    image - stem - enc 0 ------------------------ + - dec 0 - out 0
                     down 0                    up 0
                       enc 1 ------------- + - dec 1 - out 1
                         down 1         up 1
                           ...   deepest   - out 4
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.networks.recompute import recompute
from napari_pytc.learning.networks.sections import section_by_section
from napari_pytc.plans.networks.mednext import MedNeXtCustomNetwork, MedNeXtDesign, MedNeXtNetwork

_CONVOLUTIONS = {2: (nn.Conv2d, nn.ConvTranspose2d), 3: (nn.Conv3d, nn.ConvTranspose3d)}


class ChannelLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of each voxel (b, c, ...)."""

    def forward(self, image: Tensor) -> Tensor:
        """The normalised image."""
        return super().forward(image.movedim(1, -1)).movedim(-1, 1)


class MedNeXtBlock(nn.Module):
    """A depth-wise convolution, norm, wider features with GELU, and narrow ones again (Liu et al. 2022).

    Parameters
    ----------
    stride : sequence of int
        Down, or up where `is_up`; ones keep the resolution.
    is_residual : bool
        Add the input, or a strided 1x1x1 convolution of it.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        design: MedNeXtDesign,
        expansion: int,
        stride: Sequence[int],
        *,
        is_up: bool = False,
        is_residual: bool = True,
        grn: bool = False,
    ) -> None:
        super().__init__()
        plain, transposed = _CONVOLUTIONS[len(stride)]
        resampling = transposed if is_up else plain
        kernel, step, wide = design.kernel_size, tuple(stride), expansion * n_in
        self._is_resampling = is_up or max(step) > 1
        self._is_residual = is_residual
        # A transposed convolution with this padding lacks the first stride - 1 voxels.
        self._lacking = [n for s in reversed(step) for n in (s - 1, 0)] if is_up else []
        self.conv1 = resampling(n_in, n_in, kernel, step, kernel // 2, groups=n_in)  # type: ignore[arg-type]
        self.norm: nn.Module = nn.GroupNorm(n_in, n_in) if design.norm == "group" else ChannelLayerNorm(n_in, eps=1e-5)
        self.conv2 = plain(n_in, wide, 1)
        self.conv3 = plain(wide, n_out, 1)
        if self._is_resampling and is_residual:
            self.res_conv = resampling(n_in, n_out, 1, step)  # type: ignore[arg-type]
        self._grn = grn
        if grn:
            shape = (1, wide, *[1] * len(step))
            self.grn_beta, self.grn_gamma = nn.Parameter(torch.zeros(shape)), nn.Parameter(torch.zeros(shape))

    def forward(self, image: Tensor) -> Tensor:
        """Features at the block's resolution."""
        wide = functional.gelu(self.conv2(self.norm(self.conv1(image))))
        if self._grn:
            wide = self._response_norm(wide)
        found: Tensor = self.conv3(wide)
        if self._lacking:
            found = functional.pad(found, self._lacking)
        if not self._is_residual:
            return found
        if not self._is_resampling:
            return image + found
        copied: Tensor = self.res_conv(image)
        return found + (functional.pad(copied, self._lacking) if self._lacking else copied)

    def _response_norm(self, wide: Tensor) -> Tensor:
        """Global response normalisation (Woo et al. 2023, "ConvNeXt V2")."""
        length = torch.linalg.vector_norm(wide, dim=tuple(range(2, wide.ndim)), keepdim=True)
        share = length / (length.mean(dim=1, keepdim=True) + 1e-6)
        return self.grn_gamma * (wide * share) + self.grn_beta + wide


class MedNeXtHead(nn.Module):
    """A head for some channels: the features made fewer, blocks as those of the finest level, and a projection."""

    def __init__(self, design: MedNeXtDesign, n_outputs: int, n_blocks: int, n_features: int, n_dims: int) -> None:
        super().__init__()
        plain, _ = _CONVOLUTIONS[n_dims]
        blocks = [
            MedNeXtBlock(
                n_features,
                n_features,
                design,
                design.expansion[-1],
                (1,) * n_dims,
                is_residual=design.residual,
                grn=design.grn,
            )
            for _ in range(n_blocks)
        ]
        is_as_wide = n_features == design.channels
        self.input_projection = nn.Identity() if is_as_wide else plain(design.channels, n_features, 1)
        self.blocks = nn.Sequential(*blocks)
        self.projection = plain(n_features, n_outputs, 1)
        if design.checkpointing:
            recompute(list(self.blocks))

    def forward(self, features: Tensor) -> Tensor:
        """Logits of its channels."""
        found: Tensor = self.projection(self.blocks(self.input_projection(features)))
        return found


class MedNeXt(Network):
    """MedNeXt in 3D or, with sections as the images of a batch, in 2D."""

    def __init__(self, n_inputs: int, n_outputs: int, design: MedNeXtDesign) -> None:
        super().__init__()
        self.is_2d = design.is_2d
        self._enlarges_kernels = design.upkern
        self.head_names = tuple(head.name for head in design.heads)
        strides = [stride[1:] if design.is_2d else stride for stride in design.strides]
        n_dims, n_down = len(strides[0]), len(strides)
        n_each = [design.channels * 2**level for level in range(n_down + 1)]
        plain, transposed = _CONVOLUTIONS[n_dims]
        still = (1,) * n_dims

        def stage(number: int, channels: int) -> nn.Sequential:
            block = [
                MedNeXtBlock(
                    channels,
                    channels,
                    design,
                    design.expansion[number],
                    still,
                    is_residual=design.residual,
                    grn=design.grn,
                )
                for _ in range(design.blocks[number])
            ]
            return nn.Sequential(*block)

        def resampling(number: int, n_in: int, n_out: int, stride: Sequence[int], is_up: bool) -> MedNeXtBlock:
            return MedNeXtBlock(
                n_in,
                n_out,
                design,
                design.expansion[number],
                stride,
                is_up=is_up,
                is_residual=design.residual_resampling,
                grn=design.grn and number > 1,  # the published network has none in its first step down
            )

        self.stem = plain(n_inputs, design.channels, 1)
        self.enc_block = nn.ModuleList(stage(level, n_each[level]) for level in range(n_down))
        self.down = nn.ModuleList(
            resampling(level + 1, n_in, n_out, stride, is_up=False)
            for level, ((n_in, n_out), stride) in enumerate(zip(pairwise(n_each), strides, strict=True))
        )
        self.bottleneck = stage(n_down, n_each[-1])
        # The stages up are numbered from the deepest: 2 n_down belongs to the finest level.
        self.up = nn.ModuleList(
            resampling(2 * n_down - level, n_in, n_out, stride, is_up=True)
            for level, ((n_out, n_in), stride) in enumerate(zip(pairwise(n_each), strides, strict=True))
        )
        self.dec_block = nn.ModuleList(stage(2 * n_down - level, n_each[level]) for level in range(n_down))
        supervised = n_each if design.deep_supervision else n_each[:1]
        self.out = nn.ModuleList(transposed(n, n_outputs, 1) for n in supervised if not design.heads)
        self.heads = nn.ModuleList(
            MedNeXtHead(design, head.channels, head.blocks, head.features or design.channels, n_dims)
            for head in design.heads
        )
        if design.checkpointing:
            stages = [*self.enc_block, self.bottleneck, *self.dec_block]
            recompute([block for blocks in stages if isinstance(blocks, nn.Sequential) for block in blocks])
            recompute([*self.down, *self.up, *self.out])

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the finest level."""
        if self.is_2d:
            return section_by_section(lambda sections: self._levels(sections, 1)[0], image)
        return self._levels(image, 1)[0]

    def training_logits(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits of all supervised levels."""
        n_levels = max(1, len(self.out))
        if self.is_2d:
            return section_by_section(lambda sections: self._levels(sections, n_levels), image)
        return self._levels(image, n_levels)

    def weights_from(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A parent's weights; smaller kernels are enlarged."""
        return enlarge_kernels(self, tensors) if self._enlarges_kernels else dict(tensors)

    def _levels(self, image: Tensor, n_levels: int) -> tuple[Tensor, ...]:
        """Logits of the finest levels, each at its own resolution."""
        features, skipped = self.stem(image), []
        for stage, down in zip(self.enc_block, self.down, strict=True):
            skipped.append(stage(features))
            features = down(skipped[-1])
        features = self.bottleneck(features)
        n_down = len(self.down)
        found = [self.out[n_down](features)] if n_levels > n_down else []
        for level in reversed(range(n_down)):
            features = self.dec_block[level](skipped.pop() + self.up[level](features))
            if level < n_levels:
                found.append(self._logits(features, level))
        return tuple(reversed(found))

    def _logits(self, features: Tensor, level: int) -> Tensor:
        if len(self.heads):
            return torch.cat([head(features) for head in self.heads], dim=1)
        logits: Tensor = self.out[level](features)
        return logits


def build_mednext(
    settings: MedNeXtNetwork | MedNeXtCustomNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1
) -> MedNeXt:
    """The network with random weights."""
    settings.check_outputs(n_classes)
    return MedNeXt(n_inputs, n_classes, settings.design(space))


_PUBLISHED_NAME = re.compile(r"^(enc_block|down|up|dec_block|out)_(\d)\.(?:conv_out\.)?")


def from_published(tensors: Mapping[str, Tensor], heads: Sequence[str] = ()) -> dict[str, Tensor]:
    """Weights of the published network, also of PyTorch Connectomics, by the names of ours.

    ==========================================  ======================================
    published                                   here
    ==========================================  ======================================
    ``enc_block_1.0.conv1.weight``              ``enc_block.1.0.conv1.weight``
    ``down_1``, ``up_1``, ``dec_block_1``       ``down.1``, ``up.1``, ``dec_block.1``
    ``out_1.conv_out.weight``                   ``out.1.weight``
    ``heads.NAME.projection.weight``            ``heads.0.projection.weight``, by its place
    ``dummy_tensor``                            left out: it takes part in nothing
    ``stem``, ``bottleneck``                    the same
    ==========================================  ======================================

    What PyTorch Connectomics and Lightning put before the names (``model.model.``) is cut off by the caller.

    Parameters
    ----------
    heads : sequence of str
        Names of the network's heads, in order.
    """
    places = {f"heads.{name}.": f"heads.{number}." for number, name in enumerate(heads)}
    found = {}
    for name, tensor in tensors.items():
        head = next((one for one in places if name.startswith(one)), None)
        if head is not None:
            found[f"{places[head]}{name.removeprefix(head)}"] = tensor
        elif name != "dummy_tensor":
            found[_PUBLISHED_NAME.sub(r"\1.\2.", name)] = tensor
    return found


def enlarge_kernels(network: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """UpKern: convolutions of a network with small kernels, resized to those of a network with larger ones.

    Kernels are interpolated linearly along each axis, as published; tensors of the same shape, and those that
    differ in more than the kernel's size, stay as they are.
    """
    own = network.state_dict()
    found = {}
    for name, tensor in tensors.items():
        wanted = own[name].shape if name in own else tensor.shape
        is_kernel = tensor.ndim == len(wanted) >= 4 and tensor.shape[:2] == wanted[:2]
        if is_kernel and all(new > old for new, old in zip(wanted[2:], tensor.shape[2:], strict=True)):
            mode = "trilinear" if tensor.ndim == 5 else "bilinear"
            tensor = functional.interpolate(tensor.float(), size=wanted[2:], mode=mode)
        found[name] = tensor
    return found
