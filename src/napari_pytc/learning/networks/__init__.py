"""Architectures: importing this room registers them, without importing torch."""

from napari_pytc.learning.networks.base import AnyNetwork, NetworkLimits, NetworkSettings
from napari_pytc.learning.networks.dynunet import DynUNetNetwork
from napari_pytc.learning.networks.filter_unet import FilterUNetNetwork
from napari_pytc.learning.networks.filters import FilterBankNetwork
from napari_pytc.learning.networks.lean_unet import LeanUNetNetwork
from napari_pytc.learning.networks.unet import UNetNetwork

__all__ = [
    "AnyNetwork",
    "DynUNetNetwork",
    "FilterBankNetwork",
    "FilterUNetNetwork",
    "LeanUNetNetwork",
    "NetworkLimits",
    "NetworkSettings",
    "UNetNetwork",
]
