"""Networks whose training steps are compiled by `torch.compile`, where that works."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from napari_pytc.learning.machine.memory import is_out_of_memory
from napari_pytc.learning.machine.oom_fallback import MemoryPlan
from napari_pytc.learning.machine.precision import Precision, autocast_for
from napari_pytc.learning.networks.network import Network

TrainingLogits = Callable[[Tensor], tuple[Tensor, ...]]
"""`Network.training_logits` of a network."""


@contextmanager
def compiled_logits(
    network: Network, memory: MemoryPlan, precision: Precision, tell: Callable[[str], None]
) -> Iterator[TrainingLogits]:
    """What a training step computes, compiled; as it is where that fails when it is tried.

    The network itself stays as it is: its weights keep their names, and predictions are not compiled. The step that is
    tried leaves no trace in weights, buffers and random numbers. What was compiled is dropped in the end: torch keeps
    a few versions of a function only, and computes without a word what comes beyond them uncompiled.

    Parameters
    ----------
    memory : MemoryPlan
        Batch, patch and device of the steps.
    tell : callable
        Gets the sentence that says why nothing is compiled.
    """
    try:
        compiled = _compile(network, memory, precision)
        if isinstance(compiled, str):
            tell(compiled)
        yield network.training_logits if isinstance(compiled, str) else compiled
    finally:
        torch.compiler.reset()


def _compile(network: Network, memory: MemoryPlan, precision: Precision) -> TrainingLogits | str:
    """Compile and compute a step; a sentence where that does not work."""
    from torch._dynamo.utils import counters  # a second to import, which other trainings need not wait for

    device = torch.device(memory.device)
    network.to(device)
    before = copy.deepcopy(network.state_dict())
    was_training = network.training
    n_before = counters["stats"]["unique_graphs"]
    try:
        compiled: TrainingLogits = torch.compile(network.training_logits)  # refuses a Python that torch does not know
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            network.train()
            image = precision.place(torch.zeros(memory.batch_size, network.n_inputs, *memory.shape, device=device))
            with autocast_for(device, precision):
                levels = compiled(image)
                loss = torch.stack([level.float().square().mean() for level in levels]).sum()
            loss.backward()
    except (RuntimeError, OSError, ImportError) as error:  # no compiler, or an operation that it does not know
        if is_out_of_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return f"torch.compile does not work here ({reason[:200]}): the network is trained as it is."
    finally:
        for parameter in network.parameters():
            parameter.grad = None
        network.load_state_dict(before)
        network.train(was_training)
    if counters["stats"]["unique_graphs"] == n_before:
        return "torch.compile finds nothing to compile in this network: it is trained as it is."
    return compiled
