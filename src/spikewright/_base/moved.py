"""Modules that had another name: imports by it find them, and say so."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class Moved(MetaPathFinder, Loader):
    """Finds modules of `package` by names that they had: `{old: new}`, below the package."""

    def __init__(self, package: str, names: Mapping[str, str]) -> None:
        self._names = {f"{package}.{old}": f"{package}.{new}" for old, new in names.items()}
        self._specs: dict[str, ModuleSpec | None] = {}

    def install(self) -> None:
        """Ask this finder first: others would find the parts of a moved package a second time."""
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in self._names else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = self._names[spec.name]
        warnings.warn(f"{spec.name} is {new} now", DeprecationWarning, stacklevel=2)
        module = import_module(new)
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run already; the import system took it for a new one."""
        assert module.__spec__ is not None
        module.__spec__ = self._specs.pop(module.__spec__.name)
