"""A checkup of this machine: engines, instruction sets, packages of the extras."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

from spikewright import engines
from spikewright._base.optional import EXTRA_OF
from spikewright._base.process import processors
from spikewright.advice import advise
from spikewright.frontends.keras.loading import import_keras
from spikewright.showing.findings import Checkup, Finding, State


def doctor() -> Checkup:
    """Look at every engine and every optional package: each is imported, which takes seconds."""
    return Checkup(
        metadata.version("spikewright"),
        platform.python_version(),
        f"{platform.system()} {platform.machine()}",
        processors(),
        (*_engines(), *_packages()),
    )


def _engines() -> Iterator[Finding]:
    for name in engines.NAMES:
        if name not in engines.available():
            yield Finding("engine", name, "absent", "", engines.REMEDIES[name])
        elif name == "native":
            yield _native()
        else:
            yield Finding("engine", name, "works")


def _native() -> Finding:
    """The native engine, and the instruction sets that it has kernels for here."""
    try:
        from spikewright.engines.native.engine import instruction_sets  # late: may not be built
    except ImportError as error:
        return Finding("engine", "native", "broken", str(error), engines.REMEDIES["native"])
    return Finding("engine", "native", "works", ", ".join(instruction_sets()))


def _packages() -> Iterator[Finding]:
    """Optional packages in the order of their extras, each imported."""
    distributions = metadata.packages_distributions()
    for package, extra in sorted(EXTRA_OF.items(), key=lambda item: (item[1], item[0])):
        try:
            module = _imported(package)
        except Exception as error:  # whatever a broken package raises is what is to be shown
            absent = isinstance(error, ImportError) and error.name == package
            state: State = "absent" if absent else "broken"
            problem = "" if absent else f"{type(error).__name__}: {error}".splitlines()[0]
            advice = f"pip install 'spikewright[{extra}]'"
            if package == "keras" and not absent:
                advice = advise("Keras without a backend")
            yield Finding(f"extra {extra}", package, state, problem, advice)
            continue
        found = _version_of(module, distributions)
        if package == "keras":
            found = f"{found} on {module.backend.backend()}: KERAS_BACKEND chooses"
        yield Finding(f"extra {extra}", package, "works", found)


def _imported(package: str) -> Any:
    """A package, imported; Keras on the backend that readers take."""
    return import_keras() if package == "keras" else importlib.import_module(package)


def _version_of(module: Any, distributions: Mapping[str, Sequence[str]]) -> str:
    """The version of the package that a module is from; `distributions` are by module."""
    names = distributions.get(module.__name__, [])
    return metadata.version(names[0]) if names else str(getattr(module, "__version__", ""))
