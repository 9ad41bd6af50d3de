"""From predictions to instances; knows no torch. Importing this room registers the decoders, not their libraries."""

from napari_pytc.decoding.agglomeration import AgglomerationDecoder
from napari_pytc.decoding.base import AnyDecoder, DecoderSettings, Decoding, parse_decoder
from napari_pytc.decoding.components import ComponentsDecoder
from napari_pytc.decoding.multicut import MulticutDecoder
from napari_pytc.decoding.mutex_watershed import MutexWatershedDecoder
from napari_pytc.decoding.watershed import WatershedDecoder

__all__ = [
    "AgglomerationDecoder",
    "AnyDecoder",
    "ComponentsDecoder",
    "DecoderSettings",
    "Decoding",
    "MulticutDecoder",
    "MutexWatershedDecoder",
    "WatershedDecoder",
    "parse_decoder",
]
