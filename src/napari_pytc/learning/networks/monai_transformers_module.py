"""MONAI's UNETR and Swin UNETR; weights have the names of MONAI."""

from __future__ import annotations

from typing import Any

from monai.networks import nets
from monai.networks.blocks import UnetrBasicBlock, UnetrUpBlock
from torch import Tensor, nn
from torch.nn import functional

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.networks.recompute import recompute
from napari_pytc.plans.networks.monai_transformers import UNETR_STRIDE, MonaiSwinUNETRNetwork, MonaiUNETRNetwork


class UNETR(Network, nets.UNETR):
    """MONAI's UNETR for images of any multiple of 16: positions are interpolated where the image has another shape."""

    vit: Any
    out: nn.Module
    encoder1: nn.Module
    encoder2: nn.Module
    encoder3: nn.Module
    encoder4: nn.Module
    decoder2: nn.Module
    decoder3: nn.Module
    decoder4: nn.Module
    decoder5: nn.Module
    feat_size: Shape

    def forward(self, image: Tensor) -> Tensor:
        """Logits (b, k, z, y, x)."""
        n_z, n_y, n_x = (n // UNETR_STRIDE for n in image.shape[2:])
        features, hidden = self._transformed(image, (n_z, n_y, n_x))

        def volume(tokens: Tensor) -> Tensor:
            return tokens.transpose(1, 2).unflatten(2, (n_z, n_y, n_x))

        finest = self.encoder1(image)
        found = self.decoder5(volume(features), self.encoder4(volume(hidden[9])))
        found = self.decoder4(found, self.encoder3(volume(hidden[6])))
        found = self.decoder3(found, self.encoder2(volume(hidden[3])))
        logits: Tensor = self.out(self.decoder2(found, finest))
        return logits

    def _transformed(self, image: Tensor, grid: Shape) -> tuple[Tensor, list[Tensor]]:
        """Tokens after the transformer, and after each of its blocks."""
        embedding = self.vit.patch_embedding
        tokens = embedding.patch_embeddings(image).flatten(2).transpose(1, 2)
        tokens = embedding.dropout(tokens + self._positions(embedding.position_embeddings, grid))
        hidden = []
        for block in self.vit.blocks:
            tokens = block(tokens)
            hidden.append(tokens)
        return self.vit.norm(tokens), hidden

    def _positions(self, learnt: Tensor, grid: Shape) -> Tensor:
        own = tuple(self.feat_size)
        if grid == own:
            return learnt
        volume = learnt.transpose(1, 2).unflatten(2, own)
        resized = functional.interpolate(volume, size=grid, mode="trilinear", align_corners=False)
        return resized.flatten(2).transpose(1, 2)


class SwinUNETR(Network, nets.SwinUNETR):
    """MONAI's Swin UNETR as a `Network`."""


def build_unetr(settings: MonaiUNETRNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> UNETR:
    """The network with random weights."""
    network = UNETR(
        in_channels=n_inputs,
        out_channels=n_classes,
        img_size=[n * UNETR_STRIDE for n in settings.positions(space)],
        feature_size=settings.feature_size,
        hidden_size=settings.hidden_size,
        mlp_dim=settings.mlp_size,
        num_heads=settings.heads,
        norm_name=settings.norm,
        dropout_rate=settings.dropout,
    )
    if settings.checkpointing:
        recompute([*network.vit.blocks, *_convolutional_blocks(network)])
    return network


def build_swin_unetr(
    settings: MonaiSwinUNETRNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1
) -> SwinUNETR:
    """The network with random weights."""
    network = SwinUNETR(
        in_channels=n_inputs,
        out_channels=n_classes,
        feature_size=settings.feature_size,
        depths=settings.depths,
        num_heads=settings.heads,
        window_size=settings.window,
        norm_name=settings.norm,
        drop_rate=settings.dropout,
        attn_drop_rate=settings.attention_dropout,
        dropout_path_rate=settings.path_dropout,
        use_v2=settings.use_v2,
        use_checkpoint=settings.checkpointing,
        spatial_dims=3,
    )
    if settings.checkpointing:
        recompute(_convolutional_blocks(network))
    return network


def _convolutional_blocks(network: Network) -> list[UnetrBasicBlock | UnetrUpBlock]:
    return [block for block in network.modules() if isinstance(block, UnetrBasicBlock | UnetrUpBlock)]
