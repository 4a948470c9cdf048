"""Asks sinabs for the cores of a network on Speck: FILE.npz -> cores or a refusal, FILE.npz.

It runs in an environment of sinabs, without this project. sinabs imports the chip's driver, samna,
which not every machine can install. A stand-in takes its place: memories and cores are sinabs' own
arithmetic and ask nothing of it. What samna itself checks of a finished configuration is not asked.
"""

import sys
from unittest.mock import MagicMock

import numpy as np
import torch

DRIVER = (
    "samna", "samnagui", "samna.specksim", "samna.specksim.nodes",
    "samna.speck2e", "samna.speck2e.configuration", "samna.speck2f", "samna.speck2f.configuration",
)  # fmt: skip
sys.modules.update({name: MagicMock() for name in DRIVER})

from sinabs.backend.dynapcnn import DynapcnnNetwork  # noqa: E402
from sinabs.backend.dynapcnn.chip_factory import ChipFactory  # noqa: E402
from sinabs.from_torch import from_model  # noqa: E402


def main(path):
    """`model`, the file of a torch module, and its input's `shape`: `cores`, or `refusal`."""
    given = dict(np.load(path))
    shape = tuple(int(n) for n in given["shape"])
    model = torch.load(str(given["model"]), weights_only=False)
    spiking = from_model(model, input_shape=shape, batch_size=1, add_spiking_output=False)
    network = DynapcnnNetwork(spiking.spiking_model, input_shape=shape, discretize=True)
    builder = ChipFactory("speck2fdevkit").get_config_builder()
    try:
        cores = builder.map_layers_to_cores(network.dynapcnn_layers)
    except ValueError as error:
        np.savez(path, refusal=str(error))
        return
    np.savez(path, cores=[cores[i] for i in sorted(cores)])


main(sys.argv[1])
