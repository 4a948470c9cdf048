"""Verdicts about networks on chips: conversions, networks made by hand, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from building import dense, given, population, reads

import spikewright as sw
from spikewright import chips
from spikewright.errors import ChipError
from spikewright.graph import Graph, GraphNode
from spikewright.graph import layers as g

FLOOR = sw.IntegrateAndFire(voltage_floor=1)


def _graph(*layers: Any, shape: tuple[int, ...] = (2, 12, 12)) -> Graph:
    """Layers one after the other."""
    nodes = [GraphNode("input", g.Input(shape))]
    for index, layer in enumerate(layers):
        nodes.append(GraphNode(f"{index} {layer.kind}", layer, (nodes[-1].name,)))
    return Graph(tuple(nodes), {"output": nodes[-1].name})


def _weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def _convolution(
    out: int, into: int, side: int = 3, padding: int = 0, last: bool = False
) -> g.Convolution:
    weights = _weights(out, into, side, side)
    return g.Convolution(
        weights, None, (1, 1), ((padding, padding),) * 2, (1, 1), channels_last=last
    )


def _average(last: bool = False) -> g.AveragePool:
    return g.AveragePool((2, 2), (2, 2), ((0, 0), (0, 0)), channels_last=last)


def _converted(graph: Graph, **choices: Any) -> sw.Conversion:
    return sw.convert(graph, **{"spiking": {"relu": FLOOR}, **choices})


def _pooled(pool: Any) -> Graph:
    return _graph(
        _convolution(4, 2, padding=1),
        g.Activation("relu"),
        pool,
        _convolution(3, 4),
        g.Activation("relu"),
    )


AVERAGE = _average()
MAXIMUM = g.MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))


def test_a_conversion_fits() -> None:
    """Cores, memory, fan-in and fan-out of each layer, worked out by hand."""
    fit = _converted(_pooled(AVERAGE)).fits("speck")

    first, second = fit.layers
    assert fit.verdict == "fits"
    assert (fit.cores, fit.cores_there) == (2, 9)
    assert [first.numbers, second.numbers] == [(0,), (1,)]
    assert [first.neurons, second.neurons] == [4 * 12 * 12, 3 * 4 * 4]
    assert [first.weights, second.weights] == [4 * 2 * 9, 3 * 4 * 9]
    assert [first.fan_in, second.fan_in] == [2 * 9, 4 * 9 * 4]  # four spikes a pool
    assert [first.fan_out, second.fan_out] == [3 * 9, 0]
    assert first.shares["core_kernel_words"] == 2 * 2 ** (4 + 2) / 16384
    assert first.shares["core_neuron_words"] == 4 * 2 ** (4 + 4) / 65536
    assert fit.bottleneck == chips.Bottleneck("cores", "", 2 / 9)


def test_max_pooling_has_a_remedy() -> None:
    """On a chip without maxima the broken rule names what helps, and it does help."""
    graph = _pooled(MAXIMUM)
    fit = _converted(graph).fits("speck")
    (broken,) = fit.broken

    assert fit.verdict == "does not fit"
    assert broken.rule == "limits.max_pool_side"
    assert 'max_pool="average"' in broken.remedy
    assert _converted(graph, max_pool="average").fits("speck").verdict == "fits"
    assert _converted(graph).fits("akida1").fits
    assert _converted(graph).fits("loihi2").fits


def test_a_remedy_counts_channels() -> None:
    """With as many channels fewer as it says a layer fits; with one more than that it does not."""

    def asked(channels: int) -> chips.Fit:
        with sw.Network() as network:
            reads(
                population((channels, 64, 64), FLOOR),
                given((2, 64, 64)),
                sw.Convolution(_weights(channels, 2, 3, 3), padding=((1, 1), (1, 1))),
            )
        return chips.fits(network, "speck")

    (broken,) = asked(21).broken

    assert broken.remedy == "5 channels fewer"
    assert not asked(17).fits
    assert asked(16).fits


def test_both_layouts_of_images_are_one() -> None:
    """A network whose channels come last takes what one with channels first takes."""
    found = []
    for last in (False, True):
        shape = (12, 12, 2) if last else (2, 12, 12)
        graph = _graph(
            _convolution(4, 2, last=last),
            g.Activation("relu"),
            _average(last),
            g.Reshape((100,)),
            g.Affine(_weights(7, 100), None),
            g.Activation("relu"),
            shape=shape,
        )
        fit = _converted(graph).fits("speck")
        assert fit.verdict == "fits"
        found.append([(la.neurons, la.numbers, dict(la.shares)) for la in fit.layers])

    assert found[0] == found[1]
    assert found[0][1][2]["core_kernel_words"] == 4 * 2 ** (5 + 3) / 16384  # 5 x 5 taps, 7 filters


def test_a_readout_is_a_layer() -> None:
    """Values that are read out take cores as a layer of neurons, and the verdict says so."""
    graph = _graph(
        g.Affine(_weights(6, 5), None),
        g.Activation("relu"),
        g.Affine(_weights(3, 6), None),
        shape=(5,),
    )
    fit = _converted(graph).fits("speck")

    assert fit.verdict == "fits under stated assumptions"
    assert [layer.neurons for layer in fit.layers] == [6, 3]
    assert fit.cores == 2
    assert len(fit.assumptions) == 1
    assert "laid out as a layer of neurons" in fit.assumptions[0]


def test_biases_are_no_inputs() -> None:
    """A constant of a conversion is a bias, which a chip's neurons have."""
    graph = _graph(
        g.Affine(_weights(5, 16), None),
        g.Activation("relu"),
        g.Affine(_weights(3, 5), _weights(3)),
        shape=(16,),
    )
    conversion = _converted(graph)

    assert len(conversion.network.all_nodes) == 3  # the input, the readout, and its constant
    assert conversion.fits("xylo_audio2").fits
    assert not chips.fits(conversion.network, "xylo_audio2").fits  # where nobody says so


def _two(one: Any, other: Any) -> sw.Network:
    """A layer that reads two others, by these weights."""
    with sw.Network() as network:
        source, last = given(4), population(4, FLOOR, "last")
        for name, weights in (("a", one), ("b", other)):
            layer = population(4, FLOOR, name)
            reads(layer, source, sw.Dense(_weights(4, 4, seed=2)))
            reads(last, layer, weights)
    return network


def test_a_core_has_one_kernel() -> None:
    """Two layers may be read by the same weights; by others a core of convolutions cannot."""
    shared = sw.Dense(_weights(4, 4, seed=3))

    assert chips.fits(_two(shared, shared), "speck").fits
    (broken,) = chips.fits(_two(shared, None), "speck").broken
    assert broken.layer == "last"
    assert "a core has one kernel" in broken.reason
    assert chips.fits(_two(shared, None), "loihi1").fits


def test_layers_are_matched_not_queued() -> None:
    """A layer that needs a certain core gets it, though an earlier layer would fit there too."""
    with sw.Network() as network:
        small = [population(1, FLOOR) for _ in range(2)]  # every core has room for these
        most = [population((64, 32, 32), FLOOR) for _ in range(3)]  # cores 0 to 2 alone
        half = [population((32, 32, 32), FLOOR) for _ in range(2)]  # cores 0 to 4
        for _ in range(2):  # cores 5 and 6 alone
            dense(population(256, FLOOR), given(256))
    fit = chips.fits(network, "speck")
    cores = [layer.numbers[0] for layer in fit.layers]

    assert fit.verdict == "fits"
    assert len(small) + len(most) + len(half) == 7
    assert [set(cores[:2]), set(cores[2:5]), set(cores[5:7]), set(cores[7:])] == [
        {7, 8},
        {0, 1, 2},
        {3, 4},
        {5, 6},
    ]


def test_layers_without_a_core_are_named() -> None:
    """Of four layers that fit three cores alone, one has none; the others keep theirs."""
    with sw.Network() as network:
        for index in range(4):
            population((64, 32, 32), FLOOR, f"layer {index}")
    fit = chips.fits(network, "speck")

    (broken,) = fit.broken
    assert broken.rule == "limits.cores"
    assert "no core with room for it is left" in broken.reason
    assert sorted(layer.numbers for layer in fit.layers) == [(), (0,), (1,), (2,)]
    assert [la.layer for la in fit.layers if not la.cores] == [broken.layer]


def _refused(build: Any) -> str:
    with sw.Network() as network:
        build()
    with pytest.raises(ChipError) as error:
        chips.fits(network, "loihi1")
    return str(error.value)


def _learning() -> None:
    pre, post = population(3, FLOOR), sw.Ensemble(4, 1, label="vector")
    sw.Connection(pre.neurons, post.neurons, transform=np.ones((4, 3)))


def test_what_no_chip_holds_is_refused() -> None:
    """A population that represents a vector, and a junction in a loop, are named."""
    assert "'vector' represents a vector" in _refused(_learning)


def test_a_loop_of_junctions_is_refused() -> None:
    """Junctions that lead to each other have no neurons to hold their values."""

    def loop() -> None:
        one, two = sw.Node(size_in=2, label="one"), sw.Node(size_in=2, label="two")
        sw.Connection(one, two, synapse=0.01)
        sw.Connection(two, one, synapse=0.01)
        reads(population(2, FLOOR), two)

    assert "leads to itself without neurons" in _refused(loop)


def test_functions_between_layers_do_not_fit() -> None:
    """A chip computes nothing between layers; on an output the host does it."""
    softmax = g.Activation("softmax")
    end = _graph(
        g.Affine(_weights(5, 4), None),
        g.Activation("relu"),
        g.Affine(_weights(3, 5), None),
        softmax,
        shape=(4,),
    )
    middle = _graph(
        g.Affine(_weights(5, 4), None),
        softmax,
        g.Affine(_weights(3, 5), None),
        g.Activation("relu"),
        shape=(4,),
    )

    assert _converted(end).fits("loihi1").fits
    fit = _converted(middle).fits("loihi2")
    assert not fit.fits
    assert any("a function of values that no spikes carry" in str(b) for b in fit.broken)


@pytest.mark.parametrize("chip", chips.names())
def test_functions_that_mix_values_do_not_fit(chip: str) -> None:
    """A product of matrices reads other values than it has: the chip lacks it, which is told."""
    nodes = [GraphNode("input", g.Input((3, 4)))]
    for name, width in (("a", 2), ("b", 5)):
        nodes.append(GraphNode(name, g.Affine(_weights(width, 4), None), ("input",)))
    nodes += [
        GraphNode("turned", g.Permute((1, 0)), ("a",)),
        GraphNode("product", g.MatMul(), ("turned", "b")),
        GraphNode("last", g.Affine(_weights(3, 5), None), ("product",)),
    ]
    fit = sw.convert(Graph(tuple(nodes), {"output": "last"}), spiking=True).fits(chip)
    assert not fit.fits
    assert any("a function of values that no spikes carry" in str(b) for b in fit.broken)


def test_neurons_that_differ_are_assumptions() -> None:
    """A reset, a floor and a cap that the chip has and the network lacks are said."""
    graph = _graph(g.Affine(_weights(5, 4), None), g.Activation("relu"), shape=(4,))
    free, capped = sw.IntegrateAndFire(), sw.IntegrateAndFire(max_spikes_per_step=1)

    assert any("sets the chip's neurons to zero" in s for s in _fits(graph, free, "loihi1"))
    assert any("max_spikes_per_step=1" in s for s in _fits(graph, free, "loihi1"))
    assert not any("max_spikes_per_step=1" in s for s in _fits(graph, capped, "loihi1"))
    assert any("voltage_floor=1" in s for s in _fits(graph, free, "speck"))
    assert _fits(graph, FLOOR, "speck") == ()


def test_a_network_under_a_chips_bits_assumes_less() -> None:
    """After `for_chip` no remedy names reset, floor or cap; those of the layout stay."""
    graph = _graph(
        g.Affine(_weights(5, 4), None), g.Activation("relu"), g.Affine(_weights(3, 5), None),
        shape=(4,),
    )  # fmt: skip
    conversion = _converted(graph, spiking=True)
    for chip, said in (("loihi1", "sets the chip's neurons to zero"), ("speck", "voltage_floor")):
        free, under = conversion.fits(chip), conversion.for_chip(chip).fits(chip)
        assert any(said in sentence for sentence in free.assumptions)
        assert not any(said in sentence for sentence in under.assumptions)
        assert [layer.cores for layer in free.layers] == [layer.cores for layer in under.layers]


def _fits(graph: Graph, neurons: Any, chip: str) -> tuple[str, ...]:
    return _converted(graph, spiking={"relu": neurons}).fits(chip).assumptions


def test_a_layer_is_cut_by_channels_where_that_takes_fewer_cores() -> None:
    """A kernel with no room on one core is split among cores by its filters."""
    with sw.Network() as network:
        kernel = _weights(64, 300, 3, 3)  # 1.4 million bits of weights of 8 bits, 1 million a core
        reads(population((64, 4, 4), FLOOR), given((300, 6, 6)), sw.Convolution(kernel))
    fit = chips.fits(network, "loihi2")

    assert 8 * kernel.size > 1048576
    assert fit.fits
    assert fit.layers[0].cores == 2
    assert fit.layers[0].shares["core_synapse_bits"] == 8 * kernel.size / 2 / 1048576


def test_copies_of_neurons_take_room_on_crossbars() -> None:
    """A neuron that several cores read is on its own core once for each of them."""
    with sw.Network() as network:
        sender = population(256, FLOOR, "sender")
        for index in range(2):
            reader = population(300, FLOOR, f"reader {index}")
            weights = np.zeros((300, 256))
            weights[:, :100] = 1  # all of its cores read these
            reads(reader, sender, sw.Dense(weights))
    by_name = {layer.layer: layer for layer in chips.fits(network, "truenorth").layers}

    assert by_name["reader 0"].cores == 2  # 300 neurons, 256 a core
    assert by_name["sender"].cores == 4  # of 64 neurons each; there are the first four times
    assert by_name["sender"].shares["core_neurons"] == 4 * 64 / 256
    assert chips.fits(network, "truenorth").fits


def test_the_verdict_as_text_and_as_data() -> None:
    """Printed it has the verdict, cores and the bottleneck; as data JSON takes it."""
    fit = _converted(_pooled(MAXIMUM)).fits("speck")

    assert str(fit).startswith(
        "does not fit on Speck (DYNAP-CNN), SynSense: 2 of 9 cores; scarcest cores, 22% of the room"
    )
    assert "  - layer '4 Activation': it reads maxima over windows of 2 x 2" in str(fit)
    assert "core 1" in fit.table
    told = json.loads(json.dumps(fit.as_dict()))
    assert told["verdict"] == "does not fit"
    assert told["broken"][0]["source"]["certainty"] == "documentation"
    assert told["layers"][0]["shares"] == fit.layers[0].shares


def test_a_chip_of_ones_own(tmp_path: Path) -> None:
    """A profile in a file is asked as those of the package are."""
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\ntitle = "Mine"\nplacement = "cut"\n'
        '[sources.me]\ncitation = "measured"\ncertainty = "assumption"\n'
        '[limits]\ncores = { value = 2, source = "me" }\n'
        'core_neurons = { value = 300, source = "me" }\n'
    )
    conversion = _converted(_pooled(AVERAGE))

    fit = conversion.fits(path)
    assert not fit.fits
    assert fit.broken[0].reason == "it takes 3 cores, of 2"  # 576 and 48 neurons
    assert fit.broken[0].remedy == "1 core fewer"
    assert fit.broken[0].source.citation == "measured"


def test_asking_leaves_the_network_alone() -> None:
    """A conversion runs the same spikes before and after."""
    conversion = _converted(_pooled(AVERAGE), scale_firing_rates=500)
    x = np.random.default_rng(5).uniform(size=(2, 2, 12, 12))
    before = conversion.run(x, 8, progress=False)
    for name in chips.names():
        conversion.fits(name)
    after = conversion.run(x, 8, progress=False)

    for name, spikes in before.populations.items():
        assert spikes.totals.sum() > 0
        np.testing.assert_array_equal(spikes.totals, after.populations[name].totals)
