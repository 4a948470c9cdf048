"""Models of modules that have names."""

from __future__ import annotations

from typing import Any

from spikewright.errors import NetworkError
from spikewright.modelling.semantic.connecting import N_NEURONS, SYNAPSE, connect, read_effects
from spikewright.modelling.semantic.module import Module
from spikewright.network import Network
from spikewright.network.network import container
from spikewright.network.shapes import count


class Model(Network):
    """A network whose modules get names: `model.memory = State(vocabulary)`.

    Expressions of `ActionSelection` and `Cortical` use these names. A module's name begins with a
    small letter, as names of pointers begin with a capital one, and it must have been made inside
    `with model:`. Raises `NetworkError` for names that are taken.
    """

    def __init__(self, label: str | None = None, seed: int | None = None) -> None:
        self.modules: dict[str, Module] = {}
        super().__init__(label, seed)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Module):
            self._name(name, value)
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__} has no attribute or module {name!r}")

    def _name(self, name: str, module: Module) -> None:
        if not (name[0].islower() and name.isascii()):
            raise NetworkError(f"a module's name begins with a small letter, got {name!r}")
        if name in self.__dict__ or hasattr(type(self), name):
            raise NetworkError(f"{self!r} has an attribute {name!r} already; choose another name")
        if not any(module is other for other in self.networks):
            raise NetworkError(f"{module!r} is no part of {self!r}; make it inside `with model:`")
        if module.label is None:
            module.rename(name)
        self.modules[name] = module

    def module(self, name: str) -> Module:
        """The module of a name; raises `NetworkError` with the known names."""
        if name not in self.modules:
            there = ", ".join(self.modules) or "none"
            raise NetworkError(f"{self!r} has no module {name!r}; there are: {there}")
        return self.modules[name]


def model_being_filled(what: str) -> Model:
    """The model that something is made in; raises `NetworkError` outside any."""
    model = container(what)
    if not isinstance(model, Model):
        raise NetworkError(
            f"{what} names modules, so make it inside `with model:` of a sw.semantic.Model, not "
            f"of {model!r}"
        )
    return model


class Cortical(Network):
    """Effects that do not depend on a choice: `Cortical("memory = 0.5 * vision * ~KEY")`.

    Several are given one after the other, or separated by commas. Constant and linear values become
    weights of connections with `synapse`; a binding or dot product of two modules becomes a network
    of `n_neurons` a product. Made inside `with model:`, of modules that have names by then.
    """

    def __init__(
        self,
        *effects: str,
        synapse: Any = SYNAPSE,
        n_neurons: int = N_NEURONS,
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        model = model_being_filled("Cortical")
        read = [effect for text in effects for effect in read_effects(text)]
        if not read:
            raise NetworkError("Cortical needs effects, such as 'memory = vision'")
        super().__init__(label, seed)
        self.effects = tuple(effect.text for effect in read)
        n = count(n_neurons, f"{self!r}: n_neurons")
        with self:
            for effect in read:
                connect(model.module, effect, n, synapse)
