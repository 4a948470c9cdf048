"""A residual network of PyTorch, for the block of README that begins with a module of one's own."""

import torch

import spikewright as sw
from spikewright import demo


class Residual(torch.nn.Module):
    """Two convolutions with a shortcut, a pool and a classifier."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(1, 12, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(12)
        self.second = torch.nn.Conv2d(12, 12, 3, padding=1)
        self.head = torch.nn.Linear(12 * 16, 10)

    def forward(self, x):
        """Logits of images (batch, 1, 8, 8)."""
        x = torch.relu(self.norm(self.first(x / 16)))
        x = torch.relu(x + self.second(x))
        return self.head(torch.nn.functional.max_pool2d(x, 2).flatten(1))


torch.manual_seed(3)
(x_train, y_train), (x, y) = demo.digits()
x_train, x = (torch.tensor(images, dtype=torch.float32) for images in (x_train, x))
model = Residual()
optimizer = torch.optim.Adam(model.parameters(), 0.003)
for _ in range(8):
    for part in torch.randperm(len(x_train)).split(64):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x_train[part]), torch.tensor(y_train)[part])
        loss.backward()
        optimizer.step()
model.eval()
# the page follows here; at its end:
source = (model(x).argmax(1).numpy() == y).mean()
spiking = (conversion.run(x, progress=False).predict().argmax(1) == y).mean()
print(f"source {source:.1%}, spiking {spiking:.1%}")
assert source > 0.95 and spiking > source - 0.01 and sw
