"""Each decoder keeps the contract."""

from __future__ import annotations

from napari_pytc.decoding import (
    AffinityComponentsDecoder,
    AgglomerationDecoder,
    BcdWatershedDecoder,
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


class TestAffinityComponents(DecoderContract):
    settings = AffinityComponentsDecoder(smallest_um3=SMALL, threshold=0.6)
    worst_blockwise = 0.0


class TestAffinityComponentsOfEdgesBefore(DecoderContract):
    settings = AffinityComponentsDecoder(smallest_um3=SMALL, threshold=0.6)
    offers = ("before",)
    worst_blockwise = 0.0


class TestBcdWatershed(DecoderContract):
    settings = BcdWatershedDecoder(
        smallest_um3=SMALL, seed_foreground=0.6, foreground=0.5, seed_distance=0.15, distance=-0.05, smallest_seed=10
    )
    offers = ("foreground", "boundary", "distance")


class TestBcdWatershedOfForegroundAndBoundary(DecoderContract):
    settings = BcdWatershedDecoder(
        smallest_um3=SMALL, seed_foreground=0.8, foreground=0.4, seed_contour=0.2, smallest_seed=10
    )
    offers = ("foreground", "boundary")


class TestBcdWatershedOfDistances(DecoderContract):
    settings = BcdWatershedDecoder(
        smallest_um3=SMALL, seed_distance=0.15, distance=-0.05, smallest_seed=10, flooding="measured"
    )
    offers = ("distance",)


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


class TestAgglomerationByQuantiles(DecoderContract):
    settings = AgglomerationDecoder(smallest_um3=SMALL, score="quantile", quantile=0.5)


class TestAgglomerationByQuantilesOfMaxima(DecoderContract):
    settings = AgglomerationDecoder(smallest_um3=SMALL, score="quantile_of_maxima", quantile=0.5, threshold=0.85)
    offers = ("before",)


class TestAgglomerationThatDropsDust(DecoderContract):
    settings = AgglomerationDecoder(smallest_um3=SMALL, join_from=0.2)


class TestMulticut(DecoderContract):
    settings = MulticutDecoder(smallest_um3=SMALL)


class TestMulticutRefined(DecoderContract):
    settings = MulticutDecoder(smallest_um3=SMALL, solver="kernighan_lin")
