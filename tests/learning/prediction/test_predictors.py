"""The contract of predictors, of exact tiles and of windows."""

from __future__ import annotations

import torch

from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.networks.network import Network, build_network
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.tiled import TiledPredictor
from napari_pytc.learning.prediction.window_inferer import WindowInferer
from napari_pytc.learning.prediction.window_predictor import WindowPredictor
from napari_pytc.plans.networks import UNetNetwork
from napari_pytc.plans.windows import Windows
from tests.support.images import one_channel
from tests.support.learning import space
from tests.support.predictor_contract import TILE, PredictorContract

NORMALISATION = one_channel(mean=120, std=60, low=-1000, high=1000)
CPU = torch.device("cpu")


def network() -> Network:
    torch.manual_seed(0)
    return build_network(UNetNetwork(channels=(4, 8)), 2, space()).eval()


class TestTiledPredictor(PredictorContract):
    def make(self) -> TiledPredictor:
        made = network()
        return TiledPredictor(Inferer(made, made.limits(), CPU, Precision()), NORMALISATION, TILE)


class TestWindowPredictor(PredictorContract):
    def make(self) -> WindowPredictor:
        windows = Windows(shape=(4, 8, 8), batch_size=2)
        return WindowPredictor(WindowInferer(network(), windows, CPU, Precision()), NORMALISATION, TILE)
