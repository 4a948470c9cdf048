"""Rows that need nothing of the other library but its name: what is here does what they say."""

from __future__ import annotations

import numpy as np

import spikewright as sw
from benchmarks.migration.driving import images, network
from benchmarks.migration.rows import row

PAGE = "from_pytorch.md"


@row(PAGE, "a module through time, with spikes and gradients", "torch")
def module_through_time() -> str:
    """A module whose parameters have gradients."""
    import torch

    x, y = images(20)
    module = sw.convert(network(), example_input=x[:1], spiking=True).to_torch(steps=8)
    assert isinstance(module, torch.nn.Module)
    torch.nn.functional.cross_entropy(module(torch.tensor(x)), torch.tensor(y)).backward()
    slopes = [p.grad for p in module.parameters() if p.grad is not None]
    assert slopes and all(torch.isfinite(slope).all() for slope in slopes)
    return f"{len(slopes)} parameters with gradients"


@row(PAGE, "a loop of epochs", "torch")
def loop_of_epochs() -> str:
    """With labels and without."""
    x, y = images(60)
    conversion = sw.convert(network(), example_input=x[:1], spiking=True, max_spikes_per_step=1)
    for labels in (y, None):
        trained = conversion.train(x, labels, steps=4, epochs=1, progress=False)
        assert trained.conversion.run(x[:2], 4, progress=False).predict().shape == (2, 10)
    return "with labels and without"


@row(PAGE, "QCFS, quantised activations", "torch")
def rounded() -> str:
    """A network of rounded activations loses nothing in as many steps as they have levels."""
    import torch

    levels = 4
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(64, 30),
        sw.torch.RoundedReLU(levels),
        torch.nn.Linear(30, 10),
    )
    x, _ = images(50)
    spiking = sw.convert(model, example_input=x[:1], spiking=True).run(x, levels, progress=False)
    outputs = model(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(spiking.predict(), outputs, atol=1e-5)
    return "outputs are equal in four steps"


@row(PAGE, "a data set of tonic's", "tonic", "torch")
def events() -> str:
    """A structured array of tonic's goes in as it is."""
    import torch
    from tonic.io import make_structured_array

    rng = np.random.default_rng(0)
    times = np.sort(rng.integers(0, 20_000, 300))
    places = (rng.integers(0, 8, 300) for _ in range(2))
    found = make_structured_array(*places, times, rng.integers(0, 2, 300))
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(),
                                torch.nn.Linear(144, 3))  # fmt: skip
    conversion = sw.convert(model, example_input=np.zeros((1, 2, 8, 8), np.float32), spiking=True,
                            scale_firing_rates=1000)  # fmt: skip
    run = conversion.run([found], encoder=sw.encoders.Events(), progress=False)
    assert run.predict().shape == (1, 3)
    return f"{len(found)} events in {run.steps} steps"
