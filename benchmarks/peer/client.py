"""The other side of `worker`: starts it, asks it, and knows which libraries are installed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks.peer.base import Outcome, Role, Spikes
from benchmarks.timing import Timed, thread_environment

ROOT = Path(__file__).parents[2]
WORKER = "benchmarks.peer.worker"


@dataclass(frozen=True)
class Library:
    """A library with contestants: `module` is its file here, `imports` what must be importable.

    `distributions` are those whose versions a table should name.
    """

    label: str
    module: str
    imports: tuple[str, ...]
    distributions: tuple[str, ...]


LIBRARIES = (
    Library("PyTorch", "source", ("torch",), ("torch", "numpy")),
    Library("Spikewright", "engines", ("spikewright",), ("spikewright",)),
    Library("SpikingJelly", "spikingjelly", ("spikingjelly", "torch"), ("spikingjelly",)),
    Library("snnTorch", "snntorch", ("snntorch", "torch"), ("snntorch",)),
    Library("Norse", "norse", ("norse", "torch"), ("norse",)),
    Library("sinabs", "sinabs", ("sinabs", "torch"), ("sinabs",)),
)

_PROBE = """
import importlib.metadata as m, importlib.util as u, json, platform, sys
imports, distributions = json.loads(sys.argv[1])
found = {}
for name in distributions:
    try: found[name] = m.version(name)
    except m.PackageNotFoundError: pass
lacking = [n for n in imports if u.find_spec(n) is None]
print(json.dumps([lacking, platform.python_version(), found]))
"""


def missing(library: Library, python: str = sys.executable) -> tuple[list[str], dict[str, str]]:
    """What `python` lacks for this library, and the versions of what it has."""
    question = json.dumps([library.imports, library.distributions])
    answer = subprocess.run(
        [python, "-c", _PROBE, question], capture_output=True, text=True, check=True, timeout=120
    )
    lacking, version, found = json.loads(answer.stdout)
    if not lacking and python != sys.executable:
        found["Python"] = version
    return lacking, found


class WorkerError(RuntimeError):
    """A contestant could not be run; the text says why."""


@dataclass(frozen=True)
class Described:
    """A contestant as its worker describes it."""

    name: str
    role: Role
    spikes: Spikes
    compiled: bool


class Client:
    """One process, of the module `worker`."""

    def __init__(
        self,
        library: Library,
        python: str,
        errors: IO[str],
        worker: str,
    ) -> None:
        self.library, self._errors = library, errors
        self._process = subprocess.Popen(
            [python, "-m", worker, library.module],
            cwd=ROOT,
            env=thread_environment(1),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        self.contestants: list[Described] = []

    def greet(self, isas: Sequence[str] = ()) -> None:
        """Learn which contestants there are; the first thing to ask."""
        made = self.ask("hello", isas=list(isas))["contestants"]
        self.contestants = [Described(**contestant) for contestant in made]

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; raises `WorkerError` where it failed."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise WorkerError(f"{self.library.label}: its process has no pipes")
        try:
            stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"{self.library.label}: its process ended: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.library.label}: {answer['error']}")
        return answer

    def outcome(self, name: str) -> Outcome:
        """What a contestant computes for the open workload."""
        return Outcome.from_dict(self.ask("outcome", name=name))

    def truth(self, spikes: Spikes) -> list[Outcome]:
        """What contestants with this neuron should compute, and where rounding may move it.

        Only Spikewright's worker answers.
        """
        return [Outcome.from_dict(o) for o in self.ask("truth", spikes=spikes)["outcomes"]]

    def timer(self, name: str, repeats: int) -> Timed:
        """A timer of a prepared contestant."""

        def timed() -> float:
            seconds: float = self.ask("clock", name=name, repeats=repeats)["seconds"]
            return seconds

        return timed

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else "without a word"

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def by_label(
    libraries: Iterable[Library],
    pythons: Mapping[str, str] | None = None,
    worker: str = WORKER,
) -> Iterator[dict[str, Client]]:
    """A process of the module `worker` for each library, by its label, ended with the block.

    `pythons` names other Pythons by module.
    """
    with ExitStack() as stack:
        made = {}
        for library in libraries:
            errors = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            python = (pythons or {}).get(library.module, sys.executable)
            client = made[library.label] = Client(library, python, errors, worker)
            stack.callback(client.close)
        yield made


@contextmanager
def started(
    libraries: Iterable[Library],
    pythons: Mapping[str, str] | None = None,
    isas: Sequence[str] = (),
    broken: dict[str, str] | None = None,
) -> Iterator[list[Client]]:
    """A worker for each library that says which contestants it has, ended with the block.

    The native engine is run once more for each of `isas`. A library that cannot be started raises
    `WorkerError`, or is put into `broken` with the reason.
    """
    with by_label(libraries, pythons) as workers:
        clients = []
        for label, client in workers.items():
            try:
                client.greet(isas if client.library.module == "engines" else ())
            except WorkerError as error:
                if broken is None:
                    raise
                broken[label] = str(error)
                continue
            clients.append(client)
        yield clients
