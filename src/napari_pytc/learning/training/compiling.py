"""Networks compiled by `torch.compile`, where that works."""

from __future__ import annotations

import copy

import torch

from napari_pytc.learning.machine.memory import is_out_of_memory
from napari_pytc.learning.machine.oom_fallback import MemoryPlan
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.networks.network import Network

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def compile_network(network: Network, memory: MemoryPlan, precision: Precision) -> str | None:
    """Compile a network in place, and try a step with it; it stays as it is where that fails.

    Names of weights do not change. The step that is tried leaves no trace in weights, buffers and random numbers.

    Returns
    -------
    str or None
        Why it is not compiled, as a sentence.
    """
    device = torch.device(memory.device)
    network.to(device)
    before = copy.deepcopy(network.state_dict())
    was_training = network.training
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            network.compile()
            network.train()
            image = torch.zeros(memory.batch_size, network.n_inputs, *memory.shape, device=device)
            if precision.channels_last:
                image = image.contiguous(memory_format=torch.channels_last_3d)
            number_type = _TYPES.get(precision.number_format)
            with torch.autocast(device.type, dtype=number_type or torch.bfloat16, enabled=number_type is not None):
                levels = network.training_logits(image)
                loss = torch.stack([level.float().square().mean() for level in levels]).sum()
            loss.backward()
    except (RuntimeError, OSError, ImportError) as error:  # no compiler, or an operation that it does not know
        if is_out_of_memory(error):
            raise
        network._compiled_call_impl = None
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return f"torch.compile does not work here ({reason[:200]}): the network is trained as it is."
    finally:
        for parameter in network.parameters():
            parameter.grad = None
        network.load_state_dict(before)
        network.train(was_training)
    return None
