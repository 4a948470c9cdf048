"""Published cost tables, with the origin of their numbers where it is known."""

from __future__ import annotations

from dataclasses import replace

from spikewright.measure.energy.tables import CostTable, register

PICO = 1e-12

_HOROWITZ = (
    "M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, 10-14; "
    "secondary: numbers as later papers quote them"
)

CMOS_45NM_FP32 = register(
    CostTable(
        name="45nm-fp32",
        citation=_HOROWITZ,
        assumptions=(
            "32-bit floating point in 45 nm at 0.9 V: addition 0.9 pJ, multiplication 3.7 pJ. "
            "Arithmetic only: no memory, no movement of data, no control, no leakage. A neuron's "
            "update is an addition and a comparison, priced as two additions, whatever its "
            "equation. The choice of most papers, and flattering: at int8 a multiply-accumulate "
            "costs 0.23 pJ, less than this accumulate"
        ),
        precision="fp32",
        accumulate=0.9 * PICO,
        multiply_accumulate=4.6 * PICO,
        neuron_update=1.8 * PICO,
    )
)

CMOS_45NM_INT8 = register(
    CostTable(
        name="45nm-int8",
        citation=_HOROWITZ,
        assumptions=(
            "8-bit integers in 45 nm at 0.9 V: addition 0.03 pJ, multiplication 0.2 pJ. Arithmetic"
            " only, as in 45nm-fp32. The spiking network's weights and voltages are taken to have "
            "8 bits; what that does to its accuracy was not measured"
        ),
        precision="int8",
        accumulate=0.03 * PICO,
        multiply_accumulate=0.23 * PICO,
        neuron_update=0.06 * PICO,
        number_bytes=1,
    )
)

CMOS_45NM_FP32_SRAM = register(
    replace(
        CMOS_45NM_FP32,
        name="45nm-fp32-sram",
        assumptions=(
            "45nm-fp32, and 5 pJ for every 32 bits that are read or written (half of the 10 pJ of "
            "a 64-bit access to a cache of 8 KB; larger memories cost ten to hundreds of times as "
            "much). Every operation reads its weight; a spike also reads and writes the sum that "
            "it is added to, an update the neuron's state; layers that are not spiking keep their "
            "sums in registers. No weight is used twice for one read"
        ),
        weight_byte=1.25 * PICO,
        state_byte=1.25 * PICO,
    )
)

LOIHI = register(
    CostTable(
        name="loihi",
        citation=(
            "M. Davies et al., Loihi: a neuromorphic manycore processor with on-chip learning, "
            "IEEE Micro 38(1), 2018, 82-99; secondary: the paper was not consulted"
        ),
        assumptions=(
            "14 nm: 23.6 pJ + 3.5 pJ a synaptic operation, as one tool adds them up, and 81 pJ a "
            "neuron update. The 23.6 pJ is widely quoted as measured; an audit reports that it "
            "could not find it in the paper, so treat it as unverified. The chip has no multiply-"
            "accumulate: one is priced as a synaptic operation. The rivals beside it are priced as"
            " arithmetic in 45 nm, without memory, which is not the same thing"
        ),
        precision="chip",
        accumulate=27.1 * PICO,
        multiply_accumulate=27.1 * PICO,
        neuron_update=81 * PICO,
    )
)

SPINNAKER2 = register(
    CostTable(
        name="spinnaker2",
        citation=(
            "S. Hoeppner et al., Dynamic power management for neuromorphic many-core systems, IEEE"
            " TCAS-I 66(8), 2019, 2973-2986; secondary: the paper was not consulted"
        ),
        assumptions=(
            "A prototype of SpiNNaker 2 in 28 nm: 450 pJ a synaptic event, 2.19 nJ a neuron "
            "update, as quoted by later software; the original was not consulted, nor what the "
            "figures include. A multiply-accumulate is priced as a synaptic event. The rivals "
            "beside it are priced as arithmetic in 45 nm, without memory, which is not the same "
            "thing"
        ),
        precision="chip",
        accumulate=450 * PICO,
        multiply_accumulate=450 * PICO,
        neuron_update=2190 * PICO,
    )
)
