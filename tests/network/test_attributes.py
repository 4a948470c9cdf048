"""Misspelt attributes and arguments: modelling objects refuse them and say what was meant."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

import spikewright as sw
from spikewright.errors import NetworkError, SpikewrightError, UnknownAttributeError
from spikewright.network import Config
from spikewright.network.distributions import DISTRIBUTIONS
from spikewright.network.functions import FUNCTIONS
from spikewright.network.learning import LEARNING_RULES
from spikewright.network.neurons import NEURON_TYPES
from spikewright.network.processes import PROCESSES
from spikewright.network.solvers import SOLVERS
from spikewright.network.synapses import SYNAPSES
from spikewright.network.transforms import TRANSFORMS

REGISTRIES = (
    NEURON_TYPES, SYNAPSES, TRANSFORMS, DISTRIBUTIONS, SOLVERS, PROCESSES, LEARNING_RULES,
    FUNCTIONS,
)  # fmt: skip
PARAMETERS = [cls for registry in REGISTRIES for cls in registry.values()] + [sw.Direct]


def modelling_objects() -> dict[str, Any]:
    """One of each, made as users make them."""
    with sw.Network(seed=0) as net:
        node, ensemble = sw.Node([1.0]), sw.Ensemble(5, 1)
        connection = sw.Connection(node, ensemble, learning_rule_type=sw.Voja())
        probe = sw.Probe(ensemble)
    made = (
        net, node, ensemble, connection, probe, ensemble.neurons, ensemble[0], node[:1],
        connection.learning_rule, net.config,
    )  # fmt: skip
    return {f"{type(item).__name__} {i}": item for i, item in enumerate(made)}


NEARLY = {  # what is set -> what was meant
    "Network": ("sead", "seed"),
    "Node": ("outputs", "output"),
    "Ensemble": ("max_rate", "max_rates"),
    "Connection": ("synapze", "synapse"),
    "Probe": ("sample_evry", "sample_every"),
    "Neurons": ("ensembles", "ensemble"),
    "ObjView": ("traget", "target"),
    "LearningRule": ("kee", "key"),
}


@pytest.mark.parametrize("name", modelling_objects())
def test_objects_refuse_attributes_that_they_do_not_have(name: str) -> None:
    """With the object and what was meant; copies of it too, and what it has can be set."""
    item, kind = modelling_objects()[name], name.split()[0]
    wrong, right = NEARLY.get(kind, ("defalts", None))
    for owner in (item, copy.deepcopy(item), pickle.loads(pickle.dumps(item))):
        meant = f"Did you mean '{right}'" if right else "class of your own"
        with pytest.raises(
            UnknownAttributeError, match=f"{kind} has no attribute '{wrong}'.*{meant}"
        ):
            setattr(owner, wrong, 3)
        assert not hasattr(owner, wrong)
    if right not in (None, "ensemble", "target", "key"):
        setattr(item, right, getattr(item, right))


@pytest.mark.parametrize(
    "cls", [*filter(dataclasses.is_dataclass, PARAMETERS)], ids=lambda cls: cls.__name__
)
def test_parameters_that_do_not_change_say_so(cls: Any) -> None:
    """Of every registered class: a name that it does not have, nearly has, and has."""
    item = object.__new__(cls)
    with pytest.raises(
        UnknownAttributeError, match=f"{cls.__name__} has no parameter 'quite_other'"
    ):
        item.quite_other = 3
    for field in dataclasses.fields(cls):
        with pytest.raises(
            dataclasses.FrozenInstanceError, match=rf"{field.name} cannot be set: .* Make"
        ):
            setattr(item, field.name, 3)
        if len(field.name) > 3:
            with pytest.raises(UnknownAttributeError, match="Did you mean"):
                setattr(item, field.name + "x", 3)


def test_defaults_of_networks() -> None:
    """An entry of a config names what was meant, too."""
    with sw.Network() as net, pytest.raises(UnknownAttributeError, match="mean 'max_rates'"):
        net.config[sw.Ensemble].max_rate = 5
    with pytest.raises(UnknownAttributeError, match="Config has no attribute 'foo'"):
        Config().foo = 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: sw.Ensemble(5, 1, max_rate=3),
            r"Ensemble\(\) has no .* 'max_rate'. .* 'max_rates'",
        ),
        (
            lambda: sw.Node([1.0], size=3),
            r"Node\(\) has no argument 'size'. Did you mean 'size_in'",
        ),
        (lambda: sw.Probe(None, sinapse=3), r"Probe\(\) has no argument .* mean 'synapse'"),
        (lambda: sw.Connection(1, 2, functon=3), r"Connection\(\) has no .* mean 'function'"),
        (lambda: sw.Ensemble(5, 1, quux=3), r"Ensemble\(\) has no argument 'quux'.$"),
    ],
)
def test_arguments_that_there_are_not(make: Any, message: str) -> None:
    """A `TypeError`, as Python's own, that says which was meant."""
    with sw.Network(), pytest.raises(TypeError, match=message):
        make()


def test_what_a_user_keeps_is_not_refused() -> None:
    """Objects on a network, whatever they are called; anything on a class of the user's own."""

    class Mine(sw.Ensemble):
        def __init__(self) -> None:
            super().__init__(5, 1)
            self.extra = 3

    class Around(sw.Network):
        def __init__(self) -> None:
            super().__init__()
            self.size = 3

    with sw.Network() as net:
        net.node = sw.Node([1.0])  # type: ignore[attr-defined]
        net.probe_list = [sw.Probe(net.node)]  # type: ignore[attr-defined]
        net.function = len  # type: ignore[attr-defined]
        mine = Mine()
        mine.more = 4  # type: ignore[attr-defined]
        around = Around()
    around.seeed = 5  # type: ignore[attr-defined]
    assert (mine.extra, around.size, net.function) == (3, 3, len)  # type: ignore[attr-defined]
    net.label, net.seed, mine.label = "a", 4, "b"


def test_the_error_is_caught_as_what_it_is() -> None:
    """As Spikewright's, as Python's, and as that of a modelling object."""
    for kind in (SpikewrightError, NetworkError, AttributeError):
        with sw.Network(), pytest.raises(kind):
            sw.Node([1.0]).outputs = 3  # type: ignore[attr-defined]
