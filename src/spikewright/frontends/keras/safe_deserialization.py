"""Safe deserialization: a file's description of a model is checked before Keras sees it.

Keras builds whatever classes and functions a file names. Here a file may name the layers that can
be read, and the parts of Keras that hold no code of their own; anything else is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikewright._base.optional import require
from spikewright.errors import Refusal
from spikewright.frontends.keras.elementwise import NAMED, OPTIONS
from spikewright.frontends.keras.registry import CODE, READERS, readable_class, unsupported_reason

_MODELS = frozenset({"Functional", "Model", "Sequential"})

_WRAPPERS = frozenset({"Bidirectional", "TimeDistributed", "SpectralNormalization"})
"""Layers whose description holds that of another layer, or of a model."""

_CELLS = frozenset({"SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells"})
"""Parts of recurrent layers, which a layer's description may hold too."""

_DATA = frozenset(
    {"__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"}
)
"""Names under which Keras stores plain values."""

_PARTS = (
    "keras.activations",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.initializers",
    "keras.losses",
    "keras.metrics",
    "keras.optimizers",
    "keras.optimizers.schedules",
    "keras.regularizers",
)
"""Modules of Keras whose objects a layer's description may hold."""

_QUANTIZERS = frozenset(
    {
        "AbsMaxQuantizer", "Float8QuantizationConfig", "Int4QuantizationConfig",
        "Int8QuantizationConfig",
    }
)  # fmt: skip
"""Parts of quantised layers, of `keras.quantizers`, that hold numbers alone."""

_OURS = frozenset({"spikewright>RateRange", "spikewright>RoundedReLU"})
"""Names under which our own parts are registered, which hold numbers alone."""

_OWN_CODE = (
    "Load the model yourself and give the live model, whose code is read on Keras's torch backend; "
    "elsewhere a layer of your own needs a reader, registered with "
    "spikewright.frontends.keras.reads"
)


class ConfigChecker:
    """Collects the refusals of a model's description, and whether it has classes of the user's."""

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []
        self.own_classes = False

    def layer(self, entry: Any, prefix: str | None = None) -> None:
        """Look at a layer or model; raises `ValueError` if the entry is none.

        `prefix` is the path of the model that it is in, None for the outermost one.
        """
        if not isinstance(entry, dict) or not isinstance(entry.get("class_name"), str):
            raise ValueError(f"{str(entry)[:80]!r} describes no layer")
        config = entry.get("config") or {}
        kind = _kind(entry)
        name = config.get("name", entry.get("name")) if isinstance(config, dict) else None
        path = (prefix or "") + (name if isinstance(name, str) else kind)
        self.own_classes |= not _of_keras(entry)
        if not _of_keras(entry) and not _registered(entry, kind):
            reason = f"it is {_origin(entry)}, which is not a part of Keras"
            self._refuse(path, kind, reason, _OWN_CODE)
        elif kind in _MODELS:
            self._model(entry, config, path, inside="" if prefix is None else f"{path}/")
        elif kind != "InputLayer" and kind not in READERS and not _registered(entry, kind):
            self._refuse(path, kind, *unsupported_reason(kind), callable=_runs_alone(kind))
        elif kind in _WRAPPERS and isinstance(config.get("layer"), dict):
            self.layer(config["layer"], f"{path}/")
            self._parts(_without(config, "layer"), path, kind)
        else:
            self._activation(config, path, kind)
            self._parts(_without(entry, "class_name"), path, kind)

    def _model(self, entry: Mapping[str, Any], config: Any, path: str, inside: str) -> None:
        layers = config.get("layers") if isinstance(config, dict) else config
        if not isinstance(layers, list):
            raise ValueError(f"the model {path!r} lists no layers")
        for layer in layers:
            self.layer(layer, inside)
        rest = _without(config, "layers") if isinstance(config, dict) else {}
        self._parts({**_without(entry, "class_name"), "config": rest}, path, "model")

    def _activation(self, config: Any, path: str, kind: str) -> None:
        found = config.get("activation") if isinstance(config, dict) else None
        if isinstance(found, dict) and found.get("class_name") == "function":
            found = found.get("config")
        if isinstance(found, str) and found not in NAMED:
            self._refuse(path, kind, f"its activation {found!r} is unknown", f"{OPTIONS}, by name")

    def _parts(self, value: Any, path: str, kind: str) -> None:
        """Look at everything else that a layer's description holds."""
        if isinstance(value, list):
            for item in value:
                self._parts(item, path, kind)
        elif isinstance(value, dict):
            if "class_name" in value and not _harmless(value):
                reason = f"it refers to {_origin(value)}, which may run code"
                self._refuse(path, kind, reason, _OWN_CODE)
            for item in value.values():
                self._parts(item, path, kind)

    def _refuse(
        self, path: str, kind: str, reason: str, options: str, callable: bool = False
    ) -> None:
        refusal = Refusal(path, kind, reason, options, callable=callable)
        if refusal not in self.refusals:
            self.refusals.append(refusal)


def _runs_alone(kind: str) -> bool:
    """Whether the loaded model can run a layer of this kind as it is, by what is known of it."""
    known = kind.startswith("ops.") or hasattr(require("keras").layers, kind)
    return known and kind not in CODE and kind != "Masking"


def _without(entry: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != key}


def _kind(entry: Mapping[str, Any]) -> str:
    """The registered name of an entry's class: operations come from other modules than layers."""
    name = entry["class_name"].rpartition(">")[2]
    module = str(entry.get("module") or "")
    if module == "keras.layers":  # some are exported under another name than their own
        name = getattr(getattr(require("keras").layers, name, None), "__name__", name)
    is_operation = module.startswith(("keras.src.ops", "keras.src.activations"))
    return f"ops.{name}" if is_operation else name


def _of_keras(entry: Mapping[str, Any]) -> bool:
    module = entry.get("module")
    if module is None:  # files of Keras 2 have only the name, and no name for a user's package
        return not entry.get("registered_name") and ">" not in entry["class_name"]
    return isinstance(module, str) and module.split(".")[0] == "keras"


def _registered(entry: Mapping[str, Any], kind: str) -> bool:
    """Whether this process, not the file, has the class and a reader for it."""
    name = entry.get("registered_name") or entry["class_name"]
    cls = require("keras").saving.get_registered_object(name)
    return readable_class(cls) or (kind in READERS and cls is not None)


def _origin(entry: Mapping[str, Any]) -> str:
    name = entry.get("registered_name") or entry["class_name"]
    if name == "function":
        name = entry.get("config")
    return f"{entry['module']}.{name}" if entry.get("module") else str(name)


def _harmless(entry: Mapping[str, Any]) -> bool:
    name, module = entry["class_name"], entry.get("module")
    if not isinstance(name, str):
        return False
    if entry.get("registered_name") in _OURS:
        return True
    if name in _DATA or (name == "function" and module == "builtins"):
        return True  # values, and functions that Keras looks up among its own by name
    if module == "keras.layers":
        return name in READERS or name in _CELLS
    if module == "keras.quantizers":
        return name in _QUANTIZERS
    if module == "keras":
        return name.endswith("DTypePolicy")
    if module is not None:
        return module in _PARTS
    keras = require("keras")
    parts = (getattr(keras, part, None) for part in ("initializers", "regularizers", "constraints"))
    return name in READERS or any(isinstance(getattr(part, name, None), type) for part in parts)
