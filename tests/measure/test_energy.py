"""Energy: operations times joules, counted by hand; tables, rivals, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from counting import counter_of, residual_graph

import spikewright as sw
from spikewright.errors import SimulationError
from spikewright.measure import energy as e
from spikewright.measure.energy import integer_multiply_accumulate
from spikewright.measure.operations import Operations, source_operations
from spikewright.records import select

PJ = 1e-12
GRAPH = residual_graph()


def counted(steps: int = 10, samples: int = 1) -> Operations:
    """A network counted by hand: 340 accumulates, 50 products of the input, 16 neurons."""
    totals = {"relu1": np.zeros((samples, 2, 2, 2)), "relu2": np.full((samples, 2, 2, 2), 3)}
    totals["relu1"][:, 0, 0, 0] = 5  # 5 x 8
    totals["relu1"][:, 1, 1, 1] = 28  # 28 x 9
    inputs = {"x": np.ones((samples, 1, 4, 4))}
    return counter_of(sw.convert(GRAPH, spiking=True)).count(totals, steps, inputs)


def test_hand_count_of_energy() -> None:
    """340 accumulates, 50 multiply-accumulates of the input, once; 160 updates of two additions."""
    found = e.energy(counted(), "45nm-fp32")
    assert found.parts["synapses"] == pytest.approx(340 * 0.9 * PJ)
    assert found.parts["input"] == pytest.approx(50 * 4.6 * PJ)
    assert found.parts["neurons"] == pytest.approx(160 * 1.8 * PJ)
    assert found.parts["memory"] == [0.0]
    assert found.mean == pytest.approx((306 + 230 + 288) * PJ)

    eight = e.energy(counted(), e.CMOS_45NM_INT8)
    assert eight.mean == pytest.approx((340 * 0.03 + 50 * 0.23 + 160 * 0.06) * PJ)


def test_hand_count_of_memory_accesses() -> None:
    """Every operation reads 4 bytes; spikes and updates read and write 4 bytes of state."""
    found = e.energy(counted(), "45nm-fp32-sram")
    read, kept = 4 * (340 + 50), 2 * 4 * (340 + 160)
    assert found.parts["memory"] == pytest.approx(1.25 * PJ * (read + kept))
    arithmetic = e.energy(counted(), "45nm-fp32")
    assert found.mean == pytest.approx(arithmetic.mean + float(found.parts["memory"][0]))


def test_an_input_that_changes_is_paid_for_at_every_step() -> None:
    """Held, it is computed once; in frames, as often as it comes."""
    counter = counter_of(sw.convert(GRAPH, spiking=True))
    silent = {"relu1": np.zeros((1, 2, 2, 2)), "relu2": np.zeros((1, 2, 2, 2))}
    frames = np.full((1, 10, 1, 4, 4), 0.5)
    held = e.energy(counter.count(silent, 10, {"x": frames[:, 0]}), "45nm-fp32")
    moving = e.energy(counter.count(silent, 10, {"x": frames}), "45nm-fp32")
    assert moving.parts["input"] == pytest.approx(10 * held.parts["input"])
    (once, each) = (f.records()[0].how["input"] for f in (held, moving))
    assert (once, each) == ("once", "per step")


@pytest.mark.parametrize("name", list(e.TABLES))
def test_energies_of_samples_add_up(name: str) -> None:
    """Samples one by one have the energy of one; parts add up to it."""
    few = counted(samples=3)
    found = e.energy(few, name)
    assert found.mean == pytest.approx(e.energy(counted(), name).mean)
    assert found.total.shape == (3,)
    record, *parts = found.records({"dt": 0.001})
    assert (record.name, record.unit, record.n, record.how["dt"]) == ("energy", "J", 3, 0.001)
    assert sum(part.value for part in parts) == pytest.approx(record.value)


def test_every_table_says_where_it_comes_from() -> None:
    """Three tables or more, among them 45 nm at 32 and 8 bits and a chip, all secondary."""
    assert {"45nm-fp32", "45nm-int8", "loihi", "spinnaker2"} <= set(e.TABLES)
    for table in e.TABLES.values():
        assert "secondary" in table.citation, table.name
        assert len(table.assumptions) > 100, table.name
    assert "could not find it in the paper" in e.LOIHI.assumptions
    assert (
        e.CMOS_45NM_INT8.multiply_accumulate < e.CMOS_45NM_FP32.accumulate
    )  # the flattering choice
    assert "flattering" in e.CMOS_45NM_FP32.assumptions


@pytest.fixture
def registry() -> Iterator[None]:
    """Leaves the registry of tables as it was."""
    before = dict(e._registry)
    yield
    e._registry.clear()
    e._registry.update(before)


MINE = e.CostTable("mine", "measured at home", "a toaster", "fp16", 1e-9, 2e-9, 3e-9)


def test_a_table_of_ones_own(registry: None) -> None:
    """A registered table is used by name, and in everything that uses all tables."""
    assert e.register(MINE) is MINE
    assert e.register(MINE) is MINE  # again: the same one
    assert e.energy(counted(), "mine").mean == pytest.approx(340e-9 + 2 * 50e-9 + 3 * 160e-9)
    records = e.energy_records(counted(), sum(source_operations(GRAPH).values()))
    assert {r.how["table"] for r in records} == set(e.TABLES)
    with pytest.raises(SimulationError, match="'mine' is registered already"):
        e.register(replace(MINE, accumulate=5.0))


def test_impossible_tables_are_refused() -> None:
    """Costs below zero, no citation and unknown names are errors."""
    for change, word in (
        ({"accumulate": -1.0}, "accumulate is joules"),
        ({"neuron_update": float("nan")}, "neuron_update is joules"),
        ({"citation": " "}, "citation must be a text"),
        ({"number_bytes": 0}, "number_bytes"),
    ):
        with pytest.raises(SimulationError, match=word):
            replace(MINE, **change)  # type: ignore[arg-type]
    with pytest.raises(SimulationError, match="named 'abacus'; there are 45nm-fp32"):
        e.energy(counted(), "abacus")


def test_bits_of_the_twin() -> None:
    """`ceil(log2(steps + 1))`: 1 step 1 bit, 3 steps 2, 4 steps 3, 7 steps 3, 8 steps 4."""
    steps = np.arange(1, 70)
    expected = np.ceil(np.log2(steps + 1)).astype(int)
    np.testing.assert_array_equal([e.twin_bits(int(t)) for t in steps], expected)
    for wrong in (0, -1, 2.5):
        with pytest.raises(SimulationError, match="steps"):
            e.twin_bits(wrong)  # type: ignore[arg-type]


def test_the_rule_for_bits_meets_what_is_published() -> None:
    """0.23 pJ at 8 bits; 3.2 pJ at 32 bits (3.1 + 0.1) within 5 %; with fewer bits, less."""
    assert integer_multiply_accumulate(8) == pytest.approx(0.23 * PJ)
    assert integer_multiply_accumulate(32, 32) == pytest.approx(3.2 * PJ, rel=0.05)
    costs = [integer_multiply_accumulate(bits) for bits in range(1, 9)]
    assert np.all(np.diff(costs) > 0)


def test_rivals_stand_on_the_same_line() -> None:
    """222 multiply-accumulates at 32 bits, at 8, and of a twin of 4 bits (10 steps)."""
    source = sum(source_operations(GRAPH).values())
    records = e.energy_records(counted(), source, ["45nm-fp32", "45nm-fp32-sram"], {"seed": 3})
    found = select(records, "energy", table="45nm-fp32")
    assert [(r.how["network"], r.how["precision"]) for r in found] == [
        ("spiking", "fp32"), ("source", "fp32"), ("source", "int8"), ("quantised twin", "int4"),
    ]  # fmt: skip
    twin = 0.2 / 2 + 0.03
    np.testing.assert_allclose([r.value for r in found[1:]], 222 * np.array([4.6, 0.23, twin]) * PJ)
    assert all(r.how["seed"] == 3 and r.how["steps"] == 10 for r in found)

    reading = select(records, "energy", table="45nm-fp32-sram")
    bytes_read = np.array([4, 1, 1]) * 1.25
    np.testing.assert_allclose(
        [r.value for r in reading[1:]], 222 * (np.array([4.6, 0.23, twin]) + bytes_read) * PJ
    )
