"""Damaged and hostile files of networks: always the clear error, never anything half-made."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import spikewright as sw
from spikewright._base import storage as _storage
from spikewright._base.codec import describing
from spikewright._base.windows import Windows
from spikewright.errors import DamagedFileError
from spikewright.network import load, save, storage


def manifest(net: sw.Network) -> tuple[Any, dict[str, NDArray]]:
    """A network as plain data and arrays."""
    content, arrays = storage.FORMAT.encoded(storage.described(net)[0])
    return json.loads(json.dumps(content)), arrays


# Damage


def small_network() -> sw.Network:
    """One of each object, in a small file."""
    with sw.Network(label="small", seed=1) as net:
        stimulus = sw.Node([1.0, 2.0], label="in")
        ensemble = sw.Ensemble(
            2, neuron_type=sw.RunningMeanSpiking(sw.Tanh(1.0)), gain=1.0, bias=0.5
        )
        sw.Connection(stimulus[:], ensemble.neurons[[1, 0]], 0.01, 2.0)
        with sw.Network():
            pool = sw.Node(
                sw.MaxPool(Windows((2,), (1,), ((0, 0),), (1,))), size_in=(1, 2), label="pool"
            )
            sw.Connection(ensemble.neurons, pool, sw.Alpha(0.01), sw.transforms.Reshape((1, 2)))
        sw.Probe(pool, sample_every=0.01, synapse=0.1)
    return net


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small saved network."""
    path = tmp_path_factory.mktemp("small") / "net.sw"
    save(small_network(), path)
    return path.read_bytes()


def test_a_neuron_type_that_no_longer_is_is_named() -> None:
    """A file of an earlier version is refused with the name of what this one does not have."""
    content, arrays = manifest(small_network())
    changed = json.loads(json.dumps(content).replace('"RunningMeanSpiking"', '"LosingSpikes"'))
    assert changed != content
    with pytest.raises(DamagedFileError, match=r"old.sw: .*LosingSpikes is no kind of part that"):
        storage.FORMAT.decoded(changed, arrays, "old.sw")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0.0, 1.0, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(
    position: float, bit: int, small_file: bytes, tmp_path: Path
) -> None:
    """Wherever it is: in the header, the manifest or the arrays."""
    damaged = bytearray(small_file)
    damaged[int(position * len(damaged))] ^= 1 << bit
    path = tmp_path / "net.sw"
    path.write_bytes(bytes(damaged))
    with pytest.raises(DamagedFileError, match=r"net\.sw"):
        load(path)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.0, 1.0, exclude_max=True), tail=st.binary(max_size=20))
def test_cut_and_lengthened_files_are_found(
    share: float, tail: bytes, small_file: bytes, tmp_path: Path
) -> None:
    """A file that ends early, or goes on with something else."""
    path = tmp_path / "net.sw"
    path.write_bytes(small_file[: int(share * len(small_file))] + tail)
    with pytest.raises(DamagedFileError):
        load(path)


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    """A missing file, one that is none of ours, and one that holds something else."""
    with pytest.raises(FileNotFoundError, match="none"):
        load(tmp_path / "none.sw")
    (tmp_path / "text.sw").write_text("hello")
    with pytest.raises(DamagedFileError, match="not a readable Spikewright file"):
        load(tmp_path / "text.sw")
    _storage.write(tmp_path / "other.sw", "graph", {}, {})
    with pytest.raises(
        DamagedFileError,
        match=r"holds a 'graph', a 'network' was expected\. Read it with spik",
    ):
        load(tmp_path / "other.sw")


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything inside plain data."""
    found = [here]
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*here, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*here, index))
    return found


SMALL = manifest(small_network())
PLACES = [p for p in places(SMALL[0]) if p]
junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2**70),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["a0", "a1", "zero", "LIF", "Tanh", "Windows", "Reshape", "Lowpass"]),
    st.just([]),
    st.just({}),
    st.just({"array": "a0"}),
    st.just({"array": "none"}),
    st.just({"object": 99}),
    st.just({"object": -1}),
    st.just({"type": "Tanh", "tau_ref": 1.0}),
    st.just({"type": "NoSuch"}),
    st.just({"type": "Lowpass", "tau": -1.0}),
    st.just({"map": {}}),
    st.lists(st.integers(-2, 5), max_size=3),
)


@settings(max_examples=600)
@given(place=st.sampled_from(PLACES), value=junk, drop=st.booleans())
def test_hostile_manifests_give_a_network_or_the_clear_error(
    place: tuple[Any, ...], value: Any, drop: bool
) -> None:
    """Whatever stands wherever: never another exception, and nothing is left half-made outside."""
    content = copy.deepcopy(SMALL[0])
    parent = content
    for key in place[:-1]:
        parent = parent[key]
    if drop:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    with sw.Network() as outer:
        try:
            entry = storage.FORMAT.decoded(content, SMALL[1], "hostile.sw")
            with describing(storage.FORMAT.kind, "hostile.sw"):
                loaded, objects = storage.rebuilt(entry)
        except DamagedFileError as error:
            assert str(error).startswith(
                "hostile.sw: its content does not describe a saved network"
            )
        else:
            assert isinstance(loaded, sw.Network) and objects
            manifest(loaded)
        assert outer.networks == [] and outer.nodes == []


def test_deep_nesting_is_an_error_and_no_crash() -> None:
    """Networks in networks without end, and transforms in transforms."""
    content: Any = {**SMALL[0], "networks": []}
    for _ in range(20_000):
        content = {
            "label": None, "seed": None, "nodes": [], "ensembles": [], "connections": [],
            "probes": [], "networks": [content],
        }  # fmt: skip
    with pytest.raises(DamagedFileError, match="RecursionError"):
        storage.FORMAT.decoded(content, SMALL[1], "deep.sw")
