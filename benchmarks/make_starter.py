"""Make the starter features' weights from parts of the medulla volume.

Run ``python benchmarks/make_starter.py [--minutes 20] [--out FILE]``; it needs ``medulla.h5`` (CC BY 3.0, FlyEM,
Janelia Research Campus, HHMI). Sections 110 to 169, on which the benchmarks score, and 50 to 73, on which the
demonstration does, are not learnt from.

The network sees sections of all three orientations at scales of 4 to 14 nm, blurred, sharpened, with noise, bent
contrast and shading, and learns three things of the middle one of three sections: where neurons meet, and how far that
is, on two scales. What its last layer but one answers then are the features.
"""

from __future__ import annotations

import argparse
import math
import time
from copy import deepcopy
from pathlib import Path

import h5py
import numpy as np
import torch
from scipy import ndimage
from simulated_annotator import DATA
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_pytc.learning.machine.weights import save_weights
from napari_pytc.learning.networks.starter import N_FEATURES, WEIGHTS, StarterNetwork

LEARNT = (slice(0, 50), slice(74, 110))
ORIENTATIONS = (((0, 1, 2), 0.7), ((1, 0, 2), 0.15), ((2, 0, 1), 0.15))
VOXEL_NM = 10
SIDE = 192
BATCH = 4
RATE = 3e-3
NOTES = {
    "source": "FlyEM, Janelia Research Campus, HHMI: janelia-flyem/neuroproof_examples, training_sample2, CC BY 3.0",
    "changed": "weights of a network trained on sections 0 to 49 and 74 to 109 by benchmarks/make_starter.py",
}


class Views:
    """Blocks of the volume, seen along each axis, with what is to be learnt."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        with h5py.File(DATA / "medulla.h5") as file:
            raw, neurons = file["raw"][:].astype(np.float32) / 255, file["neurons"][:]
        self._views, self._shares = [], []
        for sections in LEARNT:
            meets = membranes(neurons[sections])
            arrays = raw[sections], meets.astype(np.float32), ndimage.distance_transform_edt(~meets).astype(np.float32)
            for order, share in ORIENTATIONS:
                self._views.append([np.ascontiguousarray(array.transpose(order)) for array in arrays])
                self._shares.append(share * len(meets))

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Images (b, 3, y, x), targets (b, 3, y, x) and where they are known (b, 1, y, x)."""
        images, targets, known = zip(*(self._one() for _ in range(BATCH)), strict=True)
        return torch.cat(images), torch.cat(targets), torch.cat(known)

    def _one(self) -> tuple[Tensor, Tensor, Tensor]:
        rng = self._rng
        raw, meets, distance = self._views[rng.choice(len(self._views), p=np.array(self._shares) / sum(self._shares))]
        z, last = int(rng.integers(len(raw))), len(raw) - 1
        apart = 0 if rng.random() < 0.4 else int(rng.integers(1, 3))
        around = [abs(z - apart), z, z + apart if z + apart <= last else z - apart]
        if rng.random() < 0.5:
            around.reverse()
        planes = torch.from_numpy(np.stack([*raw[around], meets[z], distance[z], np.ones_like(meets[z])]))[None]
        planes = self._cut(planes)
        image, distance_nm = planes[:, :3], planes[:, 4:5] * VOXEL_NM
        targets = torch.cat([planes[:, 3:4], torch.tanh(distance_nm / 80), torch.tanh(distance_nm / 250)], 1)
        return self._spoilt(image, apart > 0), targets, (planes[:, 5:] > 0.99).float()

    def _cut(self, planes: Tensor) -> Tensor:
        """Turned, mirrored, scaled to voxels of 4 to 14 nm; what lies outside of the volume is 0."""
        rng, (height, width) = self._rng, planes.shape[-2:]
        angle = rng.uniform(0, 2 * math.pi) if rng.random() < 0.5 else rng.integers(4) * math.pi / 2
        scale, stretch = math.exp(rng.uniform(math.log(0.7), math.log(2.6))), math.exp(rng.normal(0, 0.1))
        cos, sin, mirrored = math.cos(angle), math.sin(angle), rng.choice([-1, 1])
        matrix = np.array([[cos * mirrored * stretch, -sin], [sin * mirrored * stretch, cos]]) / scale * SIDE
        reach = np.abs(matrix).sum(1) / 2
        x, y = (rng.uniform(min(r, n / 2), max(n - r, n / 2)) for r, n in zip(reach, (width, height), strict=True))
        theta = np.concatenate([matrix, [[2 * x - width], [2 * y - height]]], 1) / [[width], [height]]
        grid = functional.affine_grid(
            torch.from_numpy(theta.astype(np.float32))[None], [1, 1, SIDE, SIDE], align_corners=False
        )
        inside = functional.grid_sample(planes[:, -1:], grid, align_corners=False)
        seen = functional.grid_sample(planes[:, :-1], grid, padding_mode="reflection", align_corners=False)
        return torch.cat([seen, inside], 1)

    def _spoilt(self, image: Tensor, apart: bool) -> Tensor:
        """Other focus, noise, contrast and shading; mean 0 and standard deviation about 1."""
        rng = self._rng
        if rng.random() < 0.5:
            soft = blurred(image, rng.uniform(0.3, 2.0))
            image = soft if rng.random() < 0.5 else image + rng.uniform(0.5, 2) * (image - soft)
        if rng.random() < 0.7:
            noise = torch.randn_like(image if apart else image[:, :1]) * rng.uniform(0.01, 0.12)
            image = image + (functional.avg_pool2d(noise, 3, 1, 1) * 2 if rng.random() < 0.5 else noise)
        image = (image - image.mean()) / (image.std() + 1e-3)
        if rng.random() < 0.6:
            image = image.sign() * image.abs() ** math.exp(rng.normal(0, 0.25))
        if apart and rng.random() < 0.2:
            image = image * (1 + 0.15 * torch.randn(1, 3, 1, 1)) + 0.2 * torch.randn(1, 3, 1, 1)
        if rng.random() < 0.3:
            shade = functional.interpolate(torch.randn(1, 1, 3, 3), size=(SIDE, SIDE), mode="bicubic")
            image = image + shade * rng.uniform(0.1, 0.6)
        return image * math.exp(rng.normal(0, 0.15)) + rng.normal(0, 0.2)


def membranes(neurons: np.ndarray) -> np.ndarray:
    """Voxels that touch another neuron."""
    found = np.zeros(neurons.shape, bool)
    for axis in range(3):
        meets = np.diff(neurons.astype(np.int64), axis=axis) != 0
        for side in (slice(1, None), slice(0, -1)):
            where = [slice(None)] * 3
            where[axis] = side
            found[tuple(where)] |= meets
    return found


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Gaussian smoothing of every section."""
    radius = int(3 * sigma + 1)
    kernel = torch.exp(-(torch.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).float()
    planes = functional.conv2d(image.transpose(0, 1), kernel[None, None, :, None], padding=(radius, 0))
    return functional.conv2d(planes, kernel[None, None, None, :], padding=(0, radius)).transpose(0, 1)


def loss_of(answers: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Cross entropy and Dice of where neurons meet, mean errors of the distances."""
    logits, meets = answers[:, :1], targets[:, :1]
    entropy = (functional.binary_cross_entropy_with_logits(logits, meets, reduction="none") * known).mean()
    probable = logits.sigmoid() * known
    dice = 1 - 2 * (probable * meets).sum() / ((probable + meets * known).sum() + 1)
    return entropy + dice + 2 * ((answers[:, 1:] - targets[:, 1:]).abs() * known).mean()


def train(minutes: float, seed: int) -> StarterNetwork:
    """The average of the weights over the last steps."""
    torch.manual_seed(seed)
    views, network = Views(seed), nn.Sequential(StarterNetwork(normed=True), nn.Conv2d(N_FEATURES, 3, 1))
    average = deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
    started, step, losses = time.monotonic(), 0, []
    while (share := (time.monotonic() - started) / 60 / minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 50) * (0.01 + 0.5 * (1 + math.cos(math.pi * share)))
        images, targets, known = views.batch()
        answers = functional.interpolate(network(images), scale_factor=2.0, mode="bilinear", align_corners=False)
        loss = loss_of(answers, targets, known)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        losses.append(float(loss.detach()))
        weight = 1 - min(0.995, (step + 1) / (step + 10))
        with torch.no_grad():
            for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
                old.lerp_(new, weight) if old.is_floating_point() else old.copy_(new)
        if step % 100 == 0:
            print(f"step {step}, {share:.0%}, loss {np.mean(losses[-100:]):.4f}", flush=True)
    assert isinstance(average[0], StarterNetwork)
    return average[0].eval()


def fused(trained: StarterNetwork) -> StarterNetwork:
    """The same network with the batch norms as a part of the convolutions."""
    found = StarterNetwork()
    for name, module in trained.named_modules():
        if isinstance(module, nn.Sequential) and isinstance(module[0], nn.Conv2d):
            whole = fuse_conv_bn_eval(module[0], module[1])
            found.get_submodule(f"{name}.0").load_state_dict(whole.state_dict())
        elif isinstance(module, nn.Conv2d) and name.split(".")[0] in ("across", "last"):
            found.get_submodule(name).load_state_dict(module.state_dict())
    return found.eval()


def main() -> None:
    """Train, check that what is written answers as what was trained, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    trained = train(options.minutes, options.seed)
    ready = fused(trained)
    with torch.no_grad():
        example = torch.randn(1, 3, 64, 64)
        torch.testing.assert_close(ready(example), trained(example), rtol=1e-3, atol=1e-3)
    save_weights(options.out, {name: tensor.half() for name, tensor in ready.state_dict().items()}, NOTES)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
