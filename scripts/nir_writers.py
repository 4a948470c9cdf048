"""NIR files of other writers for tests/exchange/test_nir_writers.py, each with its own spikes.

`python scripts/nir_writers.py WRITER FOLDER` in an environment in which WRITER is installed: norse,
sinabs, snntorch or spikingjelly. It writes `FOLDER/WRITER.nir`, and `FOLDER/WRITER.npz` with an
input `x`, `(steps, *shape)`, and what the writer's own network answers, `y`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch

STEPS = 40


def _steps(module: Any, x: torch.Tensor) -> np.ndarray:
    """The answers of a module that keeps its state itself, step by step."""
    return np.array([module(step[None]).detach().numpy()[0] for step in x])


def norse(x: torch.Tensor) -> tuple[Any, np.ndarray]:
    """Leaky neurons, by explicit steps."""
    import norse.torch as nt

    rates, zeros, ones = torch.full((6,), 100.0), torch.zeros(6), torch.ones(6)
    parameters = nt.LIFBoxParameters(tau_mem_inv=rates, v_leak=zeros, v_th=ones)
    module = nt.SequentialState(
        torch.nn.Linear(36, 6), nt.LIFBoxCell(parameters), torch.nn.Linear(6, 3)
    )
    answers, state = [], None
    for step in x.reshape(STEPS, 1, 36):
        answer, state = module(step, state)
        answers.append(answer.detach().numpy()[0])
    return nt.to_nir(module, sample_data=torch.zeros(1, 36)), np.array(answers)


def sinabs(x: torch.Tensor) -> tuple[Any, np.ndarray]:
    """Dense layers with neurons that keep the rest; of convolutions it writes no files."""
    import sinabs.layers as sl
    import sinabs.nir

    module = torch.nn.Sequential(
        torch.nn.Linear(36, 6),
        sl.IAFSqueeze(batch_size=1),
        torch.nn.Linear(6, 3),
        sl.IAFSqueeze(batch_size=1),
    )
    answers = module(x.reshape(STEPS, 36)).detach().numpy()
    return sinabs.nir.to_nir(module, torch.zeros(1, 36)), answers


def snntorch(x: torch.Tensor) -> tuple[Any, np.ndarray]:
    """Leaky neurons, with a decay a step."""
    import snntorch as snn
    from snntorch.export_nir import export_to_nir

    leaky = snn.Leaky(
        beta=torch.full((6,), 0.9),
        threshold=torch.ones(6),
        reset_mechanism="zero",
        init_hidden=True,
    )
    module = torch.nn.Sequential(torch.nn.Linear(36, 6), leaky, torch.nn.Linear(6, 3))
    answers = _steps(module, x.reshape(STEPS, 36))
    return export_to_nir(module, torch.zeros(36)), answers


def spikingjelly(x: torch.Tensor) -> tuple[Any, np.ndarray]:
    """Convolution, neurons that are reset to zero, an average pool, `Flatten`."""
    from spikingjelly.activation_based import functional, layer, neuron, nir_exchange

    module = torch.nn.Sequential(
        layer.Conv2d(1, 2, 3),
        neuron.IFNode(v_reset=0.0),
        layer.AvgPool2d(2),
        layer.Flatten(),
        layer.Linear(8, 5),
        neuron.IFNode(v_reset=0.0),
    )
    answers = _steps(module, x)
    functional.reset_net(module)
    return nir_exchange.export_to_nir(module, torch.zeros(1, 1, 6, 6), dt=1e-3), answers


WRITERS = {"norse": norse, "sinabs": sinabs, "snntorch": snntorch, "spikingjelly": spikingjelly}


def main(writer: str, folder: str) -> None:
    """Write the two files of a writer."""
    torch.manual_seed(0)
    drawn = np.random.default_rng(0).normal(1.0, 2.0, (STEPS, 1, 6, 6))
    x = torch.tensor(drawn, dtype=torch.float32)
    graph, answers = WRITERS[writer](x)
    nir.write(str(Path(folder) / f"{writer}.nir"), graph)
    np.savez_compressed(Path(folder) / f"{writer}.npz", x=x.numpy(), y=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
