"""Architectures: importing this room registers them, without importing torch."""

from napari_pytc.plans.networks.base import AnyNetwork, NetworkLimits, NetworkSettings
from napari_pytc.plans.networks.dynunet import DynUNetNetwork
from napari_pytc.plans.networks.filter_bank_settings import FilterBankNetwork
from napari_pytc.plans.networks.filter_unet import FilterUNetNetwork
from napari_pytc.plans.networks.lean_unet import LeanUNetNetwork
from napari_pytc.plans.networks.mednext import MedNeXtCustomNetwork, MedNeXtNetwork
from napari_pytc.plans.networks.monai_basic_unet import MonaiBasicUNetNetwork
from napari_pytc.plans.networks.monai_flexible_unet import MonaiFlexibleUNetNetwork
from napari_pytc.plans.networks.monai_transformers import MonaiSwinUNETRNetwork, MonaiUNETRNetwork
from napari_pytc.plans.networks.monai_unet import MonaiUNetNetwork
from napari_pytc.plans.networks.pytc_unet import FPN3DNetwork, UNet2DNetwork, UNet3DNetwork
from napari_pytc.plans.networks.rsunet import RSUNetNetwork
from napari_pytc.plans.networks.section_unet import SectionUNetNetwork
from napari_pytc.plans.networks.unet import UNetNetwork

__all__ = [
    "AnyNetwork",
    "DynUNetNetwork",
    "FPN3DNetwork",
    "FilterBankNetwork",
    "FilterUNetNetwork",
    "LeanUNetNetwork",
    "MedNeXtCustomNetwork",
    "MedNeXtNetwork",
    "MonaiBasicUNetNetwork",
    "MonaiFlexibleUNetNetwork",
    "MonaiSwinUNETRNetwork",
    "MonaiUNETRNetwork",
    "MonaiUNetNetwork",
    "NetworkLimits",
    "NetworkSettings",
    "RSUNetNetwork",
    "SectionUNetNetwork",
    "UNet2DNetwork",
    "UNet3DNetwork",
    "UNetNetwork",
]
