"""Building the model that a description means, before any memory is taken for its weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from spikewright._base.optional import require

_UNSTORED = 1_000_000
"""Numbers that a model may declare beyond those that its file holds."""

_WAITING = "uninitialized_variables"


class TooManyWeights(ValueError):
    """A model declares far more weights than its file holds."""


def built(make: Callable[[], Any], stored: int, own_classes: bool = False) -> Any:
    """The model that `make` builds, its weights not loaded yet.

    Raises `TooManyWeights` where it declares far more than the `stored` numbers of its file:
    nothing has been allocated for them then. With `own_classes`, which may need the values of
    weights while they are built, one that cannot be built without them is built with them.
    """
    try:
        return _sized(make, stored)
    except TooManyWeights:
        raise
    except Exception:
        if not own_classes:
            raise
        return make()


def _sized(make: Callable[[], Any], stored: int) -> Any:
    """The model, its weights allocated when it is clear how many they are."""
    scope = require("keras").StatelessScope
    with _forgetting():
        with scope(initialize_variables=False):
            model = make()
        declared = sum(math.prod(weight.shape) for weight in model.variables)
        if declared > 2 * stored + _UNSTORED:
            raise TooManyWeights(f"it declares {declared} weights, and the file holds {stored}")
    with scope():
        pass  # on leaving it Keras allocates all weights that wait for that
    return model


@contextmanager
def _forgetting() -> Iterator[None]:
    """A context: after an error inside it, the weights made in it are never allocated."""
    state = require("keras.src.backend.common.global_state")
    waiting = list(state.get_global_attribute(_WAITING, []))
    try:
        yield
    except BaseException:
        state.set_global_attribute(_WAITING, waiting)
        raise


def from_archive(description: dict[str, Any]) -> Any:
    """The model that the description in a `.keras` archive means."""
    description = {**description, "compile_config": None}
    own = _own_layers(description)
    saving = require("keras").saving
    return saving.deserialize_keras_object(description, own, safe_mode=True)


def from_hdf5(description: dict[str, Any]) -> Any:
    """The model that the description in an HDF5 file means, in the format before Keras 3."""
    legacy = require("keras.src.legacy.saving.saving_utils")
    options = require("keras.src.legacy.saving.saving_options")
    serialization = require("keras.src.saving.serialization_lib")
    with ExitStack() as scopes:
        scopes.enter_context(options.keras_option_scope(use_legacy_config=True))
        scopes.enter_context(serialization.SafeModeScope(True))
        return legacy.model_from_config(description, custom_objects=_custom(description))


def _custom(description: dict[str, Any]) -> dict[str, Any]:
    """Classes by name: Keras's own, and those of the user that are needed."""
    registered = require("keras").saving.get_custom_objects()
    return {**_own_layers(description), **registered}


def _own_layers(description: Any) -> dict[str, type]:
    """Layers of `keras.applications` in a description: by name Keras does not find them in HDF5."""
    text = json.dumps(description)
    own: dict[str, type] = {}
    if '"LayerScale"' in text:
        own["LayerScale"] = require("keras.src.applications.convnext").LayerScale
    if '"CustomScaleLayer"' in text:
        applications = require("keras.src.applications.inception_resnet_v2")
        own["CustomScaleLayer"] = applications.CustomScaleLayer
    return own
