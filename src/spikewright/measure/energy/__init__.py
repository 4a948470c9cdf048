"""Energy: operations times the prices of published cost tables, beside fair rivals."""

from spikewright.measure.energy.accounting import (
    Energy,
    energy,
    energy_records,
    rival_records,
    rivals,
    twin_bits,
)
from spikewright.measure.energy.tables import (
    CMOS_45NM_FP32,
    CMOS_45NM_FP32_SRAM,
    CMOS_45NM_INT8,
    LOIHI,
    SPINNAKER2,
    TABLES,
    CostTable,
    cost_table,
    register,
)
from spikewright.records import DEFAULT_TABLE

__all__ = [
    "CMOS_45NM_FP32",
    "CMOS_45NM_FP32_SRAM",
    "CMOS_45NM_INT8",
    "DEFAULT_TABLE",
    "LOIHI",
    "SPINNAKER2",
    "TABLES",
    "CostTable",
    "Energy",
    "cost_table",
    "energy",
    "energy_records",
    "register",
    "rival_records",
    "rivals",
    "twin_bits",
]
