"""Misspelt attributes and arguments: modelling objects refuse them and say what was meant."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

import spikewright as sw
from spikewright.errors import UnknownAttributeError
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
