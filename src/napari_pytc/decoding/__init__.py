"""Decoding of predictions into instances, without torch; the import registers the decoders, not their libraries."""

from napari_pytc.decoding.base import AnyDecoder, DecoderSettings, Decoding
from napari_pytc.decoding.decoders.affinity_components import AffinityComponentsDecoder
from napari_pytc.decoding.decoders.agglomeration import AgglomerationDecoder
from napari_pytc.decoding.decoders.bcd_watershed import BcdWatershedDecoder
from napari_pytc.decoding.decoders.components import ComponentsDecoder
from napari_pytc.decoding.decoders.multicut import MulticutDecoder
from napari_pytc.decoding.decoders.mutex_watershed import MutexWatershedDecoder
from napari_pytc.decoding.decoders.watershed import WatershedDecoder

__all__ = [
    "AffinityComponentsDecoder",
    "AgglomerationDecoder",
    "AnyDecoder",
    "BcdWatershedDecoder",
    "ComponentsDecoder",
    "DecoderSettings",
    "Decoding",
    "MulticutDecoder",
    "MutexWatershedDecoder",
    "WatershedDecoder",
]
