"""The benchmark of channels of different ranges: its networks are one function."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.wide_channels import images, measured, mobile_network, widened

import spikewright as sw


def test_widened_networks_compute_what_the_first_does() -> None:
    """Outputs of digits are equal, and ranges behind the depthwise layers are not."""
    torch.manual_seed(0)
    model, x = mobile_network().eval(), images()[0][:20]
    wide = widened(model, 3)
    with torch.no_grad():
        old, new = model(x), wide(x)
        behind = [m[2].relu1(m[2].expand(m[:2](x))).amax((0, 2, 3)) for m in (model, wide)]

    np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-4 * float(old.abs().max()))
    spans = [float(r.max() / r[r > 0].min()) for r in behind]
    assert spans[1] > 50 * spans[0]


@pytest.mark.slow
def test_what_is_measured_is_a_run_beside_its_source() -> None:
    """More steps are nearer to it."""
    torch.manual_seed(0)
    model = mobile_network().eval()
    few, more = (measured(model, steps, sw.Percentile()) for steps in (4, 32))

    assert 0 < more < few < 1
