"""A network of 30 measured features, two classes, with a hidden layer of another activation."""

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer

found = load_breast_cancer()
order = np.random.default_rng(0).permutation(len(found.target))
x = ((found.data - found.data.mean(0)) / found.data.std(0))[order].astype(np.float32)
y = found.target[order]
# the page splits at 1200: 400 of the 569 samples train, the others test, all of them three times
x = np.concatenate([np.tile(x[:400], (3, 1)), np.tile(x[400:569], (3, 1))])
y = np.concatenate([np.tile(y[:400], 3), np.tile(y[400:569], 3)])
torch.manual_seed(1)
model = torch.nn.Sequential(
    torch.nn.Linear(30, 40),
    torch.nn.BatchNorm1d(40),
    torch.nn.ReLU(),
    torch.nn.Linear(40, 20),
    torch.nn.LeakyReLU(0.1),
    torch.nn.Linear(20, 2),
)
optimiser = torch.optim.Adam(model.parameters(), 0.005, weight_decay=1e-3)
for _ in range(40):
    optimiser.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(torch.tensor(x[:1200])), torch.tensor(y[:1200]))
    loss.backward()
    optimiser.step()

batch = torch.export.Dim("batch")
example = (torch.tensor(x[:2]),)
torch.export.save(
    torch.export.export(model.eval(), example, dynamic_shapes=({0: batch},)), "model.pt2"
)
np.savez("train.npz", x=x[:1200], y=y[:1200])
np.savez("val.npz", x=x[1200:], y=y[1200:])
# the page follows here; at its end:
from pathlib import Path

source = (model(torch.tensor(x[1200:])).argmax(1).numpy() == y[1200:]).mean()
spiking = found.accuracy(steps=8).value
print(f"source {source:.1%}, spiking {spiking:.1%}")
assert source > 0.9 and spiking > source - 0.01
assert Path("report.html").stat().st_size > 10_000 and Path("network.sw").stat().st_size > 1000
