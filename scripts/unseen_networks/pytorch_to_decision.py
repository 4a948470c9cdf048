"""Images of 12 x 12 with noise, and a residual network, in the place of the tutorial's own."""

rng = np.random.default_rng(5)
wide = [np.pad(np.clip(a + rng.normal(0, 0.1, a.shape), 0, 1), ((0, 0), (0, 0), (2, 2), (2, 2)))
        for a in (x_train, x)]  # fmt: skip
x_train, x = (images.astype(np.float32) for images in wide)
samples = x_train[:256]


class Residual(nn.Module):
    """A stem with a stride, a block with a shortcut, and a classifier."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 12, 3, stride=2, padding=1), nn.BatchNorm2d(12))
        self.inner = nn.Sequential(nn.Conv2d(12, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU())
        self.outer = nn.Conv2d(12, 12, 3, padding=1)
        self.head = nn.Linear(12 * 9, 10)

    def forward(self, x):
        """Logits of images (batch, 1, 12, 12)."""
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.outer(self.inner(x)))
        return self.head(nn.functional.avg_pool2d(x, 2).flatten(1))


torch.manual_seed(7)
model = Residual()
optimizer = torch.optim.Adam(model.parameters(), 0.004)
inputs, labels = torch.tensor(x_train), torch.tensor(y_train)
for _ in range(14):
    for part in torch.randperm(len(inputs)).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[part]), labels[part]).backward()
        optimizer.step()
model.eval()
source = (model(torch.tensor(x)).argmax(axis=1).numpy() == y).mean()
# the page follows here; at its end:
from pathlib import Path

eight = {coding: table[coding, 8][2] for coding in codings}
print(f"source {source:.1%}, in eight steps", *(f"{c} {a:.1%}" for c, a in eight.items()))
assert source > 0.9
assert all(eight[coding] > source - 0.015 for coding in eight if coding != "one scale")
assert Path("meter.html").stat().st_size > 10_000 and Path("meter.sw").stat().st_size > 1000
