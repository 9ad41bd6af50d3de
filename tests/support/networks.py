"""Small networks of every kind."""

from __future__ import annotations

SMALL: dict[str, dict[str, object]] = {
    "dynunet": {"channels": [4, 8, 8]},
    "filter_bank": {"sigmas": [0.7, 1.6], "hidden": [8]},
    "filter_unet": {"sigmas": [0.7, 1.6], "hidden": [8], "channels": [4, 8]},
    "fpn_3d": {"channels": [8, 8, 16], "deep_supervision": True},
    "lean_unet": {"channels": [4, 8]},
    "mednext": {},
    "mednext_custom": {"channels": 4, "blocks": [1, 1, 1, 1, 1], "expansion": [2], "grn": True},
    "monai_basic_unet3d": {"channels": [4, 4, 4, 4, 4, 4]},
    "monai_flexible_unet": {"backbone": "resnet10", "decoder_channels": [8, 8, 8, 8, 8]},
    "monai_swin_unetr": {"feature_size": 12, "depths": [1, 1, 1, 1], "heads": [1, 1, 2, 2], "window": 2},
    "monai_unet": {"channels": [4, 8, 8]},
    "monai_unetr": {"feature_size": 4, "hidden_size": 12, "mlp_size": 16, "heads": 2},
    "rsunet": {"channels": [4, 8, 8], "deep_supervision": True},
    "section_unet": {},
    "unet": {"channels": [4, 8]},
    "unet_2d": {"channels": [16, 16], "deep_supervision": True},
    "unet_3d": {"channels": [8, 8, 16], "deep_supervision": True},
}
"""Settings of each kind with which it takes no time."""
