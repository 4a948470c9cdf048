"""Input encoders: how a value reaches a network over time.

`conversion.run(x, steps, encoder=...)` takes one for all inputs, or `{input name: encoder}`:

=====================  =========================================  ===============================
encoder                a value x over T seconds                   error of its mean
=====================  =========================================  ===============================
`ConstantCurrent()`    held as a constant current: the default    none
`Regular(rate)`        spikes at equal distances                  at most 1 / (2 rate T)
`Poisson(rate)`        spikes at random                           sqrt(|x| / (rate T)) on average
`Frames(hold, scale)`  `(batch, frames, *shape)`, each held       none
`Events(...)`          events (time, index, value) of a sensor    none: the sum of the values
=====================  =========================================  ===============================
"""

from spikewright.running.encoders.events import Events
from spikewright.running.encoders.values import ConstantCurrent, Encoder, Frames, Poisson, Regular

__all__ = ["ConstantCurrent", "Encoder", "Events", "Frames", "Poisson", "Regular"]
