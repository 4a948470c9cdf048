"""The device and number type of the torch engine, and torch's modes that it must not inherit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from spikewright.engines.grid import Precision
from spikewright.engines.kernel import EngineArrays, Setup
from spikewright.errors import BuildError
from spikewright.network.transforms import Shape

Tensor = Any  # torch.Tensor; torch is optional, so types end at its border
Device = Any  # torch.device

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Tensors(EngineArrays):
    """Makes tensors on a device in a type, whatever torch's defaults and modes are."""

    device: Device
    dtype: Any

    @classmethod
    def on(cls, device: Device, precision: Precision) -> Tensors:
        """Tensors of a precision."""
        return cls(device, _DTYPES[precision])

    @property
    def float64(self) -> Tensors:
        return Tensors(self.device, torch.float64)

    def copy_of(self, values: ArrayLike) -> Tensor:
        kind = np.float64 if self.dtype == torch.float64 else np.float32
        with _plain_tensors():
            return torch.from_numpy(np.array(values, kind, order="C")).to(self.device)

    def as_array(self, values: NDArray) -> Tensor:
        return self.copy_of(values)

    def zeros(self, shape: Shape) -> Tensor:
        with _plain_tensors():
            return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def empty(self, shape: Shape) -> Tensor:
        with _plain_tensors():
            return torch.empty(shape, dtype=self.dtype, device=self.device)

    @property
    def shares_numpy_memory(self) -> bool:
        return bool(self.device.type == "cpu")

    def numpy(self, array: Tensor) -> NDArray:
        return numpy_of(array)


def tensors_of(setup: Setup) -> Tensors:
    """A kernel setup's maker of tensors."""
    assert isinstance(setup.arrays, Tensors)
    return setup.arrays


def numpy_of(tensor: Tensor) -> NDArray:
    """A tensor's values; they may share its memory."""
    array: NDArray = tensor.cpu().numpy()
    return array


def chosen_device(device: Any) -> Device:
    """The device that a user named, or the default: a CUDA device where there is one.

    Raises `BuildError` for a device that torch does not know or that does not exist.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.zeros(1, dtype=torch.float64, device=found).cpu()
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise BuildError(
            f"torch cannot compute in float64 on device {device!r} here ({reason}); use 'cpu', or "
            "'cuda' where torch.cuda.is_available()"
        ) from error
    return found


def _plain_tensors() -> Any:
    """A context in which tensors can be changed in place later, despite `inference_mode`."""
    return torch.inference_mode(False)


@contextmanager
def full_products(device: Device) -> Iterator[None]:
    """A context in which matrix products and convolutions use the full precision of operands.

    Autocast, TF32 and bfloat16 modes are switched off inside and restored after; torch's default
    on a GPU is TF32 convolutions, which keep 10 bits of the weights' 24.
    """
    with ExitStack() as stack:
        if torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        for owner, name, full in _switches(device.type):
            before = getattr(owner, name)
            if before not in (full, "none"):
                setattr(owner, name, full)
                stack.callback(setattr, owner, name, before)
        yield


def _switches(kind: str) -> list[tuple[Any, str, Any]]:
    """Torch's switches for reduced float32 products on a kind of device, and their full setting."""
    backends = torch.backends
    if hasattr(backends.cuda.matmul, "fp32_precision"):  # torch 2.9 and later
        owners = {
            "cpu": (backends.mkldnn.matmul, backends.mkldnn.conv),
            "cuda": (backends.cuda.matmul, backends.cudnn.conv),
        }
        return [(owner, "fp32_precision", "ieee") for owner in owners.get(kind, ())]
    if kind == "cuda":
        return [(backends.cuda.matmul, "allow_tf32", False), (backends.cudnn, "allow_tf32", False)]
    return [(_MatmulPrecision(), "value", "highest")]


class _MatmulPrecision:
    """`torch.get_float32_matmul_precision()` and its setter as one attribute."""

    @property
    def value(self) -> str:
        """ "highest", "high" or "medium"."""
        precision: str = torch.get_float32_matmul_precision()
        return precision

    @value.setter
    def value(self, precision: str) -> None:
        torch.set_float32_matmul_precision(precision)
