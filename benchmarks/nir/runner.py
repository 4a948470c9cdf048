"""The part of a check that runs in a reader's own environment: a job in, its results out.

It is run by its path, needs that reader, nir and NumPy, and nothing of this project. Its argument
is a folder, which holds `job.json` and `x.npy`; `result.json` and `result.npz` are written into it.
Whatever goes wrong in the reader is a sentence in `result.json`, with the stage in which it did.
Nothing but the standard library and NumPy is imported before a reader is made.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = 2.0**-16  # of a threshold, for sums that should be whole


class SteppedModel:
    """A reader whose modules are called as `module(x, state) -> (output, state)`, a step a call."""

    notes: tuple[str, ...] = ()

    def module(self, graph: Any, dt: float) -> Any:
        """The reader's module of a graph, for steps of `dt` of its units of time."""
        raise NotImplementedError

    def read(self, path: str, dt: float, neurons: tuple[str, ...]) -> None:
        """Read a file for steps of `dt` of its units of time, and listen to its neurons."""
        self.sent: dict[str, list[Any]] = {}
        self.made = self.module(import_module("nir").read(path), dt).eval()
        listen(self.made, neurons, lambda name, sent: self.sent.setdefault(name, []).append(sent))

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes `(batch, steps, *shape)` of values `(batch, steps, *shape)`."""
        torch = import_module("torch")
        self.sent.clear()
        outputs, state = [], None
        with torch.no_grad():
            for step in range(x.shape[1]):
                output, state = self.made(torch.from_numpy(x[:, step].copy()), state)
                outputs.append(output.numpy())
        return np.stack(outputs, 1), {n: np.stack(sent, 1) for n, sent in self.sent.items()}


def listen(module: Any, neurons: tuple[str, ...], hear: Callable[[str, np.ndarray], Any]) -> None:
    """Let `hear` have the name and the spikes of a module's neurons, whenever they send some."""
    found = dict(module.named_modules())
    for name in neurons:
        inner = next((found[n] for n in _spellings(name) if n in found), None)
        if inner is not None:
            inner.register_forward_hook(_hook(name, hear))


def _hook(name: str, hear: Callable[[str, np.ndarray], Any]) -> Any:
    def hook(module: Any, given: Any, sent: Any) -> None:
        hear(name, (sent[0] if isinstance(sent, tuple) else sent).detach().numpy())

    return hook


def _spellings(name: str) -> tuple[str, ...]:
    """The names that modules of a node may have: keywords get a prefix, loops a folder."""
    return (f"{name}.{name}", name, f"nir_node_{name}", f"nir_node_{name}.{name}")


class Norse(SteppedModel):
    """A file as norse reads it."""

    def __init__(self) -> None:
        self.norse = import_module("norse.torch")

    def module(self, graph: Any, dt: float) -> Any:
        """The module of `from_nir`."""
        return self.norse.from_nir(graph, dt=dt)


class SpikingJelly(SteppedModel):
    """A file as SpikingJelly reads it."""

    def __init__(self) -> None:
        self.exchange = import_module("spikingjelly.activation_based.nir_exchange")

    def module(self, graph: Any, dt: float) -> Any:
        """The module of `import_from_nir`."""
        return self.exchange.import_from_nir(graph, dt=dt)


class SnnTorch(SteppedModel):
    """A file as snnTorch reads it; it has a step of its own, and takes no other."""

    def __init__(self) -> None:
        self.snntorch = import_module("snntorch")
        self.reading = import_module("snntorch.import_nir")

    def module(self, graph: Any, dt: float) -> Any:
        """The module of `import_from_nir`; `dt` is not asked for."""
        module = self.reading.import_from_nir(graph)
        self.cells = [m for m in module.modules() if isinstance(m, self.snntorch.SpikingNeuron)]
        if any(not cell.init_hidden for cell in self.cells):
            self.notes = ("its module runs only after init_hidden=True was set on its neurons",)
        for cell in self.cells:
            cell.init_hidden = True
        return module

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes of values `(batch, steps, *shape)`."""
        for cell in self.cells:
            cell.reset_mem()
        return super().run(x)


class NirTorch(SteppedModel):
    """A file as nirtorch reads it with a map of its user's: neurons with reset and start as stated.

    nirtorch wires modules and brings no neurons. So this is the reader that can be right: its
    neurons keep the remainder, send several spikes a step, and start where the metadata say.
    """

    notes = ("with a map of IF, LIF, CubaLIF and Affine that is the check's own",)

    def __init__(self) -> None:
        self.nirtorch = import_module("nirtorch")
        self.nir = import_module("nir")
        self.torch = import_module("torch")

    def module(self, graph: Any, dt: float) -> Any:
        """The module of `nir_to_torch`, in double precision."""
        neuron = _neuron(self.torch)

        def made(node: Any) -> Any:
            return neuron(node, dt)

        neurons = (self.nir.IF, self.nir.LIF, self.nir.CubaLIF)
        node_map = {**dict.fromkeys(neurons, made), self.nir.Affine: self._affine}
        made_of = self.nirtorch.nir_to_torch
        return made_of(graph, node_map, dtype=self.torch.float64).double()

    def _affine(self, node: Any) -> Any:
        made = self.torch.nn.Linear(*reversed(node.weight.shape))
        made.weight.data = self.torch.from_numpy(np.asarray(node.weight))
        made.bias.data = self.torch.from_numpy(np.asarray(node.bias))
        return made

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes of values `(batch, steps, *shape)`."""
        return super().run(x.astype(np.float64))


def _neuron(torch: Any) -> Any:
    """The class of IF, LIF and CubaLIF: a module of PyTorch, which is imported by then."""

    class Neuron(torch.nn.Module):
        def __init__(self, node: Any, dt: float) -> None:
            super().__init__()
            metadata = node.metadata
            self.threshold = _tensor(torch, node.v_threshold)
            self.start = _tensor(torch, metadata.get("v_init", 0.0))
            self.floor, self.most = metadata.get("voltage_floor"), metadata.get("max_spikes")
            tau = getattr(node, "tau_mem", getattr(node, "tau", None))
            leaks = tau is not None
            self.keeps = torch.exp(-dt / _tensor(torch, tau)) if leaks else 1.0
            self.synapse = None
            if hasattr(node, "tau_syn"):
                kept = torch.exp(-dt / _tensor(torch, node.tau_syn))
                self.synapse = kept, (1.0 - kept) * _tensor(torch, node.w_in)
            self.gain = _tensor(torch, node.r) * (1.0 - self.keeps if leaks else dt)
            self.rest = (1.0 - self.keeps) * _tensor(torch, node.v_leak) if leaks else 0.0

        def forward(self, x: Any, state: Any = None) -> tuple[Any, Any]:
            before, current = (self.start, 0.0) if state is None else state
            if self.synapse is not None:
                x = current = self.synapse[0] * current + self.synapse[1] * x
            voltage = self.keeps * before + self.gain * x + self.rest
            count = torch.floor(voltage / self.threshold + TOLERANCE).clamp(min=0, max=self.most)
            voltage = voltage - count * self.threshold
            if self.floor is not None:
                voltage = torch.maximum(voltage, -float(self.floor) * self.threshold)
            return count, (voltage, current)

    return Neuron


def _tensor(torch: Any, values: Any) -> Any:
    return torch.from_numpy(np.asarray(values, np.float64))


class Sinabs:
    """A file as sinabs reads it: in steps, where samples and steps share the batch axis."""

    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.exchange = import_module("sinabs.nir")
        self.torch = import_module("torch")

    def read(self, path: str, dt: float, neurons: tuple[str, ...]) -> None:
        """Read a file; `dt` is not asked for."""
        self.graph = import_module("nir").read(path)
        self.neurons = neurons
        self._module(1, {})

    def _module(self, batch: int, sent: dict[str, Any]) -> Any:
        """A module for so many samples, whose neurons write what they send."""
        module = self.exchange.from_nir(self.graph, batch_size=batch).eval()
        listen(module, self.neurons, sent.__setitem__)
        return module

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes of values `(batch, steps, *shape)`."""
        sent: dict[str, Any] = {}
        module = self._module(len(x), sent)
        with self.torch.no_grad():
            output = module(self.torch.from_numpy(x.reshape(-1, *x.shape[2:])))
        output = output[0] if isinstance(output, tuple) else output
        split = (len(x), x.shape[1])
        spikes = {name: s.reshape(*split, *s.shape[1:]) for name, s in sent.items()}
        return output.numpy().reshape(*split, *output.shape[1:]), spikes


class Spyx:
    """A file as Spyx reads it: a chain of layers scanned over time, channels last.

    Its neurons are known by their place in the chain alone.
    """

    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.exchange = import_module("spyx.nir")
        self.jax = import_module("jax")

    def read(self, path: str, dt: float, neurons: tuple[str, ...]) -> None:
        """Read a file for steps of `dt` of its units of time."""
        graph = import_module("nir").read(path)
        (shape,) = [
            np.atleast_1d(node.input_type["input"])
            for node in graph.nodes.values()
            if type(node).__name__ == "Input"
        ]
        example = _as_taken(np.zeros((1, 1, *shape), np.float32))
        self.neurons = neurons
        self.model, _ = self.exchange.from_nir(graph, self.jax.numpy.asarray(example), dt=dt)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes of values `(batch, steps, *shape)`."""
        layers = list(self.model.layers)

        def step(states: Any, value: Any) -> Any:
            after, sent = [], []
            for layer, state in zip(layers, states, strict=True):
                if state is None:
                    value = layer(value)
                else:
                    value, state = layer(value, state)
                    sent.append(value)
                after.append(state)
            return after, (value, sent)

        begin = list(self.model.initial_state(len(x)))
        _, (output, sent) = self.jax.lax.scan(step, begin, self.jax.numpy.asarray(_as_taken(x)))
        if len(sent) != len(self.neurons):
            raise ValueError(f"{len(sent)} layers of neurons were made of {len(self.neurons)}")
        named = zip(self.neurons, sent, strict=True)
        return _in_order(output), {name: _in_order(value) for name, value in named}


def _as_taken(x: np.ndarray) -> np.ndarray:
    """Values `(batch, steps, channels, *spatial)` as `(steps, batch, *spatial, channels)`."""
    early = np.moveaxis(x, 1, 0)
    return np.moveaxis(early, 2, -1) if x.ndim > 3 else early


def _in_order(values: Any) -> np.ndarray:
    """The same in the other direction."""
    found = np.moveaxis(np.asarray(values), 0, 1)
    return np.moveaxis(found, -1, 2) if found.ndim > 3 else found


class Blocked(Exception):
    """Its rules do not allow a file."""


class SnnMlir:
    """snn-mlir as a linter: its rules for a file, and no run."""

    run = None

    def __init__(self) -> None:
        import_module("snn_mlir")
        self.notes: tuple[str, ...] = ()

    def read(self, path: str, dt: float, neurons: tuple[str, ...]) -> None:
        """Check a file; raises `Blocked` with what blocks it."""
        command = [sys.executable, "-m", "snn_mlir", "check", "--json", path]
        output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        report = json.loads(output)
        by_node = [found for node in report["nodes"] for found in node["findings"]]
        findings = [*by_node, *report["graph"]]
        messages = tuple(found["message"] for found in findings if found["severity"] != "error")
        if not report["ok"]:
            blocks = [found["message"] for found in findings if found["severity"] == "error"]
            raise Blocked("; ".join(blocks))
        self.notes = messages


MODELS: dict[str, Callable[[], Any]] = {
    "nirtorch": NirTorch,
    "norse": Norse,
    "sinabs": Sinabs,
    "snn-mlir": SnnMlir,
    "snntorch": SnnTorch,
    "spikingjelly": SpikingJelly,
    "spyx": Spyx,
}
"""The maker of each reader, by its name; one that is not installed raises `ImportError`."""

LONGEST = 400  # characters of an error


def main(folder: Path) -> None:
    """Do the job of a folder."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    _limit_memory(job["memory"])
    warnings.simplefilter("ignore")  # of libraries; they are many and not ours
    result: dict[str, Any] = {"stage": "import"}
    try:
        model = MODELS[job["reader"]]()
        result.update(stage="read", versions=_versions(job["packages"]))
        model.read(job["path"], job["dt"], tuple(job["neurons"]))
        result["stage"] = "run"
        if model.run is not None:  # a linter runs nothing
            arrays: dict[str, Any] = _run(model, np.load(folder / "x.npy"), job)
            np.savez(folder / "result.npz", **arrays)
        result.update(stage="done", notes=list(model.notes))
    except BaseException as error:  # a reader may raise anything, SystemExit too
        result["error"] = _sentence(error)
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _run(model: Any, x: np.ndarray, job: dict[str, Any]) -> dict[str, np.ndarray]:
    """Counts of every layer, mean outputs, and every step's spikes of the first samples."""
    steps, kept = job["steps"], job["kept"]
    parts: dict[str, list[np.ndarray]] = {}
    for first in range(0, len(x), job["batch"]):
        part = x[first : first + job["batch"]]
        if not job["timed"]:
            part = np.repeat(part[:, None], steps, axis=1)
        output, spikes = model.run(part)
        parts.setdefault("output", []).append(output.mean(1, dtype=np.float64))
        for name, sent in spikes.items():
            parts.setdefault(f"counts/{name}", []).append(sent.sum(1, dtype=np.float64))
            if first < kept:
                parts.setdefault(f"spikes/{name}", []).append(sent[: kept - first])
    return {name: np.concatenate(found) for name, found in parts.items()}


def _versions(packages: list[str]) -> dict[str, str]:
    """Versions of the packages, by their metadata or by what their modules say."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except Exception:  # installed without metadata of that name
            module = sys.modules.get(package.replace("-", "_"))
            found[package] = str(getattr(module, "__version__", ""))
    return found


def _sentence(error: BaseException) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"[:LONGEST]


def _limit_memory(most: int) -> None:
    """Bound the memory that the process may have of its own, where the system can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
