"""Solvers: weights that decode wanted values from activities of neurons."""

from spikewright.network.solvers.base import SOLVERS, Solution, Solver, register, rmse
from spikewright.network.solvers.least_squares import (
    Lstsq,
    LstsqL2,
    LstsqL2nz,
    LstsqMultNoise,
    LstsqNoise,
    NoSolver,
)
from spikewright.network.solvers.nonnegative import Nnls, NnlsL2, NnlsL2nz
from spikewright.network.solvers.sparse import LstsqDrop, LstsqL1

__all__ = [
    "SOLVERS",
    "Lstsq",
    "LstsqDrop",
    "LstsqL1",
    "LstsqL2",
    "LstsqL2nz",
    "LstsqMultNoise",
    "LstsqNoise",
    "Nnls",
    "NnlsL2",
    "NnlsL2nz",
    "NoSolver",
    "Solution",
    "Solver",
    "register",
    "rmse",
]
