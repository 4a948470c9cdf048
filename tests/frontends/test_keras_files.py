"""Files of Keras models: round trips, damage, and files that ask for code."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras_helpers import assert_close, inputs_of, keras, layers, randomise

from spikewright.errors import DamagedFileError, ReadError, UnsupportedLayerError
from spikewright.frontends import read as read_any
from spikewright.frontends.keras import READERS, KerasCall, read, reads, registry
from spikewright.graph import evaluate, to_text
from spikewright.graph.layers import Identity

L = layers
SUFFIXES = (".keras", ".h5", ".hdf5")

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own, about formats it calls legacy


def network() -> Any:
    """Convolution, normalisation, an activation of its own, pooling, dense."""
    return randomise(
        keras.Sequential(
            [
                keras.Input((6, 6, 2), name="image"),
                L.Conv2D(3, 3, padding="same", name="conv"),
                L.BatchNormalization(name="norm"),
                L.LeakyReLU(0.2, name="leaky"),
                L.MaxPooling2D(name="pool"),
                L.Flatten(name="flat"),
                L.Dense(4, activation="softmax", kernel_regularizer="l2", name="dense"),
            ]
        )
    )


def nested_network() -> Any:
    """Two kinds of nested model, each called twice, and operations on tensors."""
    one = keras.Sequential(
        [keras.Input((6,)), L.Dense(4, activation="relu"), L.Dense(6)], name="one"
    )
    inside = keras.Input((6,))
    two = keras.Model(inside, L.Dense(6, activation="tanh")(inside), name="two")
    x = keras.Input((6,), name="x")
    y = two(one(two(one(x))))
    return randomise(keras.Model(x, [y, L.Add(name="sum")([x, y])]))


def saved(model: Any, folder: Path, suffix: str = ".keras") -> Path:
    """The model in a file."""
    path = folder / f"model{suffix}"
    model.save(path)
    return path


@pytest.mark.parametrize(
    ("build", "suffix"),
    [(network, ".keras"), (network, ".hdf5"), (nested_network, ".keras"), (nested_network, ".h5")],
)
def test_a_file_is_read_as_the_model_that_was_saved(
    build: Callable[[], Any], suffix: str, tmp_path: Path
) -> None:
    """The same graph, node by node and value by value, from the file and from the live model."""
    model = build()
    path = saved(model, tmp_path, suffix)
    live, source = read(model), read_any(str(path))
    assert to_text(source.graph) == to_text(live.graph)
    inputs = inputs_of(live)
    wanted = live.activations(inputs)
    for name, value in source.activations(inputs).items():
        assert_close(value, wanted[name], name)
    for name, value in evaluate(source.graph, inputs).items():
        assert_close(value, wanted[source.graph.outputs[name]], name)


def test_operations_on_tensors_are_read_from_a_file(tmp_path: Path) -> None:
    """The `.keras` format keeps them."""
    x = keras.Input((4,), name="x")
    y = keras.ops.relu(L.Dense(4)(x) * 2.0 + np.arange(4, dtype=np.float32))
    model = randomise(keras.Model(x, keras.activations.relu(y - 1.0, negative_slope=0.1)))
    graph = read(saved(model, tmp_path)).graph
    inputs = inputs_of(read(model))
    (found,), (wanted,) = (
        evaluate(graph, inputs).values(),
        evaluate(read(model).graph, inputs).values(),
    )
    assert_close(found, wanted)


def test_compiled_models_are_read_without_their_training(tmp_path: Path) -> None:
    """A loss of one's own, which the file cannot hold, is not asked for."""

    def own_loss(wanted: Any, found: Any) -> Any:
        return keras.ops.mean(wanted - found)

    model = network()
    model.compile("adam", own_loss, metrics=["accuracy"])
    for suffix in SUFFIXES:
        assert len(read(saved(model, tmp_path, suffix)).graph) == 8


def test_mixed_precision_is_read(tmp_path: Path) -> None:
    """The policies of a file are parts of Keras, and weights come as float32."""
    x = keras.Input((4,), name="x")
    model = randomise(keras.Model(x, L.Dense(3, dtype="mixed_float16", name="d")(x)))
    for suffix in SUFFIXES:
        source = read(saved(model, tmp_path, suffix))
        assert source.graph["d"].layer.weight.dtype == np.float32
        assert source.activations(inputs_of(source))["d"].dtype == np.float32


@pytest.mark.parametrize(
    ("suffix", "part"),
    [(".keras", 0.1), (".keras", 0.999), (".h5", 0.0), (".h5", 0.5), (".h5", 0.9)],
)
def test_truncated_files_are_damaged(suffix: str, part: float, tmp_path: Path) -> None:
    """Whatever is missing, the error names the file."""
    path = saved(network(), tmp_path, suffix)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(DamagedFileError, match="model"):
        read(path)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".keras", b"text"),
        (".keras", b"PK\x03\x04 no more"),
        (".h5", b""),
        (".h5", b"\x89HDF\r\n\x1a\n no more"),
    ],
)
def test_files_of_something_else_are_damaged(suffix: str, content: bytes, tmp_path: Path) -> None:
    """A signature alone makes no file."""
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match="model"):
        read(path)


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A whole file of each kind."""
    folder = tmp_path_factory.mktemp("contents")
    return {suffix: saved(network(), folder, suffix).read_bytes() for suffix in (".keras", ".h5")}


@given(
    suffix=st.sampled_from([".keras", ".h5"]), where=st.floats(0, 0.999999), bit=st.integers(0, 7)
)
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_flipped_bit_never_escapes(
    contents: dict[str, bytes], tmp_path: Path, suffix: str, where: float, bit: int
) -> None:
    """A file with one wrong bit is read, or refused by one of our errors, and by no other."""
    content = bytearray(contents[suffix])
    content[int(where * len(content))] ^= 1 << bit
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    try:
        read(path)
    except (ReadError, ValueError) as error:  # a weight may have become NaN: GraphError
        assert type(error).__module__ == "spikewright.errors"


def test_a_wrong_suffix_is_explained(tmp_path: Path) -> None:
    """HDF5 under the name of an archive, an archive under the name of HDF5, capital letters."""
    archive, hdf5 = saved(network(), tmp_path), saved(network(), tmp_path, ".h5")
    other = tmp_path / "other.keras"
    other.write_bytes(hdf5.read_bytes())
    with pytest.raises(DamagedFileError, match=r"other\.keras.*rename it to end in \.h5"):
        read(other)
    hdf5.write_bytes(archive.read_bytes())
    with pytest.raises(DamagedFileError, match="not an HDF5 file"):
        read(hdf5)
    capital = archive.rename(tmp_path / "model.KERAS")
    with pytest.raises(ReadError, match="rename it"):
        read_any(capital)


def test_weights_without_a_model_are_explained(tmp_path: Path) -> None:
    """The message says what to save."""
    path = tmp_path / "only.weights.h5"
    network().save_weights(path)
    with pytest.raises(DamagedFileError, match=r"model\.save\(\.\.\.\)"):
        read(path)


def test_a_missing_file_is_not_a_damaged_one(tmp_path: Path) -> None:
    """The usual error of a path that is not there."""
    with pytest.raises(FileNotFoundError, match=r"none\.keras"):
        read(tmp_path / "none.keras")


def edited(path: Path, edit: Callable[[Any], Any], member: str = "config.json") -> Path:
    """The file after `edit` has changed its description in place."""
    if path.suffix != ".keras":
        with h5py.File(path, "r+") as file:
            document = json.loads(file.attrs["model_config"])
            edit(document)
            file.attrs["model_config"] = json.dumps(document)
        return path
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    document = json.loads(members[member])
    edit(document)
    members[member] = json.dumps(document).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def dense_of(document: Any) -> Any:
    """The entry of the network's Dense layer."""
    return document["config"]["layers"][-1]


@pytest.mark.parametrize(
    ("suffix", "edit"),
    [
        (".keras", lambda d: d.clear()),
        (".h5", lambda d: d.pop("config")),
        (".keras", lambda d: d.update(config=[3])),
        (".h5", lambda d: d["config"].update(layers=3)),
        (".keras", lambda d: d["config"].update(layers=[3])),
        (".h5", lambda d: d["config"]["layers"].pop(1)),
        (".keras", lambda d: dense_of(d)["config"].update(units=5)),
        (".h5", lambda d: dense_of(d)["config"].update(units="many")),
        (".keras", lambda d: dense_of(d)["config"].update(surprise=5)),
        (".h5", lambda d: dense_of(d).update(config=None)),
    ],
)
def test_descriptions_that_make_no_sense_are_damage(
    edit: Callable[[Any], Any], suffix: str, tmp_path: Path
) -> None:
    """A description that is none, or of another model than the weights, names the file."""
    changed = edited(saved(network(), tmp_path, suffix), edit)
    with pytest.raises(DamagedFileError, match="model"):
        read(changed)


@pytest.mark.parametrize("gone", ["config.json", "metadata.json", "model.weights.h5"])
def test_archives_with_a_part_missing_are_damaged(gone: str, tmp_path: Path) -> None:
    """Each of the three parts is needed."""
    path = saved(network(), tmp_path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != gone}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(DamagedFileError, match=r"model\.keras"):
        read(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that would grow beyond measure is refused unread."""
    monkeypatch.setenv("SPIKEWRIGHT_READ_BYTES", "1e6")
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", " " * 10**6)
    with pytest.raises(DamagedFileError, match=r"config\.json' would take 28\.61 MiB"):
        read(path)


@pytest.fixture
def keras_never_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if Keras is asked to build anything."""

    def load_model(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("Keras was asked to build the file's model")

    monkeypatch.setattr(keras.saving, "load_model", load_model)


@pytest.mark.usefixtures("keras_never_loads")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_unreadable_layers_of_a_file_are_listed_and_never_built(
    suffix: str, tmp_path: Path
) -> None:
    """Lambda, recurrence, an unknown activation, one of them nested: all in one error."""
    inner = keras.Sequential([keras.Input((4,)), L.Lambda(lambda v: v, name="code")], name="inner")
    x = keras.Input((5, 3), name="x")
    y = L.Dense(4, activation="sparsemax", name="dense")(
        L.LSTM(4, activation="glu", name="recurrent")(x)
    )
    path = saved(keras.Model(x, inner(y)), tmp_path, suffix)
    with pytest.raises(UnsupportedLayerError) as info:
        read(path)
    found = {r.layer: (r.kind, r.reason) for r in info.value.refusals}
    assert set(found) == {"recurrent", "dense", "inner/code"}
    assert found["inner/code"][0] == "Lambda" and "Python code" in found["inner/code"][1]
    assert "'sparsemax'" in found["dense"][1]


ATTACKS: dict[str, Any] = {
    "a function of another module": {"class_name": "function", "module": "os", "config": "system"},
    "a switch of Keras": {
        "class_name": "function",
        "module": "keras.config",
        "config": "enable_unsafe_deserialization",
    },
    "a marshalled lambda": {"class_name": "__lambda__", "config": {"value": "4wAAAA=="}},
    "a class of another module": {"class_name": "Popen", "module": "subprocess", "config": {}},
    "a layer that runs code": {
        "class_name": "Lambda",
        "module": "keras.layers",
        "config": {"function": {"class_name": "__lambda__", "config": {}}},
    },
    "a model of another framework": {
        "class_name": "TFSMLayer",
        "module": "keras.layers",
        "config": {"filepath": "/etc"},
    },
    "a module that looks like a part of Keras": {
        "class_name": "SGD",
        "module": "optimizers",
        "config": {},
    },
    "a tool of Keras": {"class_name": "get_file", "module": "keras.utils", "config": {}},
    "a class without a module": {"class_name": "system", "config": {}},
    "a class that is no name": {"class_name": ["a"], "module": "os", "config": {}},
}


@pytest.mark.usefixtures("keras_never_loads")
@pytest.mark.parametrize(
    ("attack", "place", "suffix"),
    list(
        zip(
            ATTACKS,
            cycle(["kernel_initializer", "bias_regularizer", "dtype"]),
            cycle([".keras", ".h5"]),
            strict=False,
        )
    ),
)
def test_a_file_cannot_name_code(attack: str, place: str, suffix: str, tmp_path: Path) -> None:
    """Wherever a description refers to more than parts of Keras, Keras never sees it."""
    path = edited(
        saved(network(), tmp_path, suffix),
        lambda document: dense_of(document)["config"].update({place: {"deep": [ATTACKS[attack]]}}),
    )
    with pytest.raises(UnsupportedLayerError, match=r"'dense'.*refers to"):
        read(path)


@pytest.mark.usefixtures("keras_never_loads")
@pytest.mark.parametrize("module", ["os", "tf_keras.layers", 3])
def test_a_layer_of_another_module_is_refused(module: Any, tmp_path: Path) -> None:
    """Even one that has the name of a layer of Keras."""
    path = edited(
        saved(network(), tmp_path), lambda document: dense_of(document).update(module=module)
    )
    with pytest.raises(
        UnsupportedLayerError, match=r"'dense' \(Dense\): it is .*not a part of Keras"
    ):
        read(path)


@keras.saving.register_keras_serializable(package="spikewright_tests")
class Passing(keras.layers.Layer):
    """A layer of the user's own that does nothing."""

    def call(self, inputs: Any) -> Any:
        """The input."""
        return inputs


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_registered_class_with_a_reader_is_loaded(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class is of this process, not of the file; without a reader it is refused."""
    model = randomise(
        keras.Sequential([keras.Input((3,), name="x"), Passing(name="own"), L.Dense(2, name="d")])
    )
    path = saved(model, tmp_path, suffix)
    with pytest.raises(UnsupportedLayerError, match=r"'own' \(Passing\)"):
        read(path)
    monkeypatch.setattr(registry, "_readers", dict(READERS))
    monkeypatch.setattr(
        "spikewright.frontends.keras.safe_deserialization.READERS", registry._readers
    )

    @reads("Passing")
    def passing(call: KerasCall) -> str | None:
        return call.add(Identity())

    assert [node.name for node in read(path).graph] == ["x", "own", "d"]


def test_a_subclassed_model_in_a_file_is_refused(tmp_path: Path) -> None:
    """Its class is code that the file does not hold."""

    class Mine(keras.Model):
        pass

    x = keras.Input((3,), name="x")
    path = saved(Mine(x, L.Dense(2)(x), name="mine"), tmp_path)
    with pytest.raises(UnsupportedLayerError, match="Mine, which is not a part of Keras"):
        read(path)


def test_archives_of_keras_2_are_refused_with_the_way_out(tmp_path: Path) -> None:
    """Keras 3 cannot load them, and says so in a way that nobody understands."""
    path = edited(
        saved(network(), tmp_path), lambda d: d.update(keras_version="2.15.0"), "metadata.json"
    )
    with pytest.raises(ReadError, match=r"Keras 2\.15\.0.*save it as \.h5"):
        read(path)
