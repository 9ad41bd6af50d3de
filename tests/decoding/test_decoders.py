"""Each decoder keeps the contract."""

from __future__ import annotations

from napari_pytc.decoding import (
    AgglomerationDecoder,
    ComponentsDecoder,
    MulticutDecoder,
    MutexWatershedDecoder,
    WatershedDecoder,
)
from tests.support.decoder_contract import DecoderContract

SMALL = 0.00005


class TestComponents(DecoderContract):
    settings = ComponentsDecoder(smallest_um3=SMALL, threshold=0.5)
    worst_blockwise = 0.0


class TestComponentsOfABoundary(DecoderContract):
    settings = ComponentsDecoder(smallest_um3=SMALL, threshold=0.5, connectivity=26)
    offers = ("boundary",)
    worst_blockwise = 0.0


class TestWatershed(DecoderContract):
    worst = 0.4  # one seed distance suits cells of one size, these are of many
    settings = WatershedDecoder(smallest_um3=SMALL, seed_distance_um=0.06)


class TestWatershedOfABoundary(DecoderContract):
    settings = WatershedDecoder(smallest_um3=SMALL, seeds="boundary", seed_threshold=0.3)
    offers = ("boundary",)


class TestWatershedOfDistances(DecoderContract):
    settings = WatershedDecoder(smallest_um3=SMALL, seed_distance_um=0.06)
    offers = ("distance",)


class TestMutexWatershed(DecoderContract):
    worst_blockwise = 0.3  # it decides from afar: see docs/decoders.md
    settings = MutexWatershedDecoder(smallest_um3=SMALL)


class TestAgglomeration(DecoderContract):
    settings = AgglomerationDecoder(smallest_um3=SMALL)


class TestAgglomerationOfClasses(DecoderContract):
    settings = AgglomerationDecoder(smallest_um3=SMALL)
    offers = ("classes",)


class TestMulticut(DecoderContract):
    settings = MulticutDecoder(smallest_um3=SMALL)


class TestMulticutRefined(DecoderContract):
    settings = MulticutDecoder(smallest_um3=SMALL, solver="kernighan_lin")
