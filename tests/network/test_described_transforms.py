"""Transforms in Nengo's words: shapes, what weights are or are drawn from, and what is refused."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

import spikewright as sw
from conformance.oracle import apply_transform
from spikewright.errors import NetworkError
from spikewright.network import load, save
from spikewright.network.transforms import Reshape, flatten

RNG = np.random.default_rng(0)
UNIFORM = sw.distributions.Uniform(-1.0, 1.0)
SPARSE = scipy.sparse.random(4, 6, 0.5, random_state=np.random.RandomState(0), format="csr")
KERNEL = RNG.normal(size=(3, 2, 2, 4))


def connected(
    transform: Any, size_in: int, size_out: int, seed: int | None = 0, **given: Any
) -> sw.Connection:
    """A connection between nodes of these sizes, behind others."""
    with sw.Network(seed=seed):
        source, end = sw.Node(np.zeros(size_in)), sw.Node(size_in=size_out)
        sw.Connection(source[:1], sw.Node(size_in=1))
        return sw.Connection(source, end, transform=transform, **given)


def mapped(transform: Any, x: NDArray, size_out: int) -> NDArray:
    """What a transform makes of values, on the reference engine."""
    with sw.Network(seed=0) as net:
        end = sw.Node(size_in=size_out)
        sw.Connection(sw.Node(x), end, synapse=None, transform=transform)
        probe = sw.Probe(end)
    with sw.Simulator(net, engine="reference", precision="float64", progress=False) as sim:
        sim.step()
    found: NDArray = sim.data[probe][0]
    return found


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "plain"])
def test_sparse_matrices_of_scipys(form: str) -> None:
    """Through `Sparse((out, in), init=)` and as they are: the same as the whole matrix."""
    x = RNG.normal(size=6)
    matrix = SPARSE.asformat("csr" if form == "plain" else form)
    transform = matrix if form == "plain" else sw.Sparse((4, 6), init=matrix)
    np.testing.assert_allclose(mapped(transform, x, 4), SPARSE.toarray() @ x, rtol=1e-12)


@pytest.mark.parametrize("values", [1.5, [1.0, -2.0, 0.5]])
def test_sparse_entries_by_their_places(values: Any) -> None:
    """Entries that meet add up; the form of five arrays is the same map, and stays what it was."""
    at = np.array([[0, 1], [2, 3], [2, 3]])
    whole = np.zeros((3, 4))
    np.add.at(whole, (at[:, 0], at[:, 1]), values)
    x = RNG.normal(size=4)
    found = mapped(sw.Sparse((3, 4), indices=at, init=values), x, 3)
    np.testing.assert_allclose(found, whole @ x, rtol=1e-12)
    five = sw.Sparse(at[:, 0], at[:, 1], np.broadcast_to(values, 3), (3,), 4)
    assert isinstance(five, sw.Sparse)
    np.testing.assert_array_equal(mapped(five, x, 3), found)
    assert isinstance(sw.Sparse((0, 1), (1, 0), (1.0, 2.0), (2,), 2), sw.Sparse)  # type: ignore[arg-type]


@pytest.mark.parametrize("init", [2.0, [1.0, 2.0, 3.0], np.arange(9.0).reshape(3, 3)])
def test_dense_matrices_by_shape(init: Any) -> None:
    """A number and a vector stand on the diagonal."""
    x = RNG.normal(size=3)
    matrix = np.asarray(init) if np.ndim(init) == 2 else np.eye(3) * init
    np.testing.assert_allclose(mapped(sw.Dense((3, 3), init), x, 3), matrix @ x, rtol=1e-12)
    np.testing.assert_array_equal(connected(sw.Dense((3, 3), init), 3, 3).transform.matrix, matrix)  # type: ignore[union-attr]


def _convolved(x: NDArray, strides: tuple[int, int], same: bool, groups: int) -> NDArray:
    """A cross-correlation of `(height, width, channels)`, sums written out."""
    size, kernel = KERNEL.shape[:2], KERNEL[:, :, : x.shape[-1] // groups]
    if same:
        outs = [-(-n // s) for n, s in zip(x.shape, strides, strict=False)]
        total = [
            max((o - 1) * s + k - n, 0)
            for o, s, k, n in zip(outs, strides, size, x.shape, strict=False)
        ]
        x = np.pad(x, [(t // 2, t - t // 2) for t in total] + [(0, 0)])
    outs = [(n - k) // s + 1 for n, k, s in zip(x.shape, size, strides, strict=False)]
    y = np.zeros((*outs, KERNEL.shape[-1]))
    inner, per = kernel.shape[2], KERNEL.shape[-1] // groups
    for i, j, f in itertools.product(range(outs[0]), range(outs[1]), range(KERNEL.shape[-1])):
        at = slice(i * strides[0], i * strides[0] + size[0])
        across = slice(j * strides[1], j * strides[1] + size[1])
        group = f // per
        part = x[at, across, group * inner : (group + 1) * inner]
        y[i, j, f] = np.sum(part * kernel[..., f])
    return y


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(
    ("strides", "padding", "groups"),
    [((1, 1), "valid", 1), ((2, 3), "same", 1), ((1, 2), "same", 2), ((2, 1), "valid", 2)],
)
def test_filters(strides: tuple[int, int], padding: Any, groups: int, last: bool) -> None:
    """Between flat vectors, whichever axis channels are on; sizes are there to build by."""
    image = RNG.normal(size=(6, 7, 2 * groups))
    wanted = _convolved(image, strides, padding == "same", groups)
    shape = image.shape if last else (image.shape[2], *image.shape[:2])
    filters = sw.Convolution(
        4, shape, kernel_size=(3, 2), strides=strides, padding=padding, channels_last=last,
        init=KERNEL, groups=groups,
    )  # fmt: skip
    size_in, size_out = filters.size_in, filters.size_out  # type: ignore[attr-defined]
    assert (size_in, size_out) == (image.size, wanted.size)
    x = image if last else np.moveaxis(image, 2, 0)
    found = mapped(filters, x.ravel(), size_out)
    expected = wanted if last else np.moveaxis(wanted, 2, 0)
    np.testing.assert_allclose(found, expected.ravel(), rtol=1e-9, atol=1e-12)


def _matrix(transform: Any) -> NDArray:
    """A described map with weights, as a matrix."""
    made = transform.made(np.random.default_rng(0))
    columns = [apply_transform(made, row).ravel() for row in np.eye(transform.size_in)]
    return np.stack(columns, axis=1)


TRANSPOSED = [
    ((5, 6), (3, 2), (1, 1), "valid", 1), ((5, 6), (3, 2), (1, 1), "same", 2),
    ((7, 8), (3, 2), (2, 3), "valid", 2), ((8, 9), (3, 2), (2, 3), "valid", 1),
    ((7, 5), (3, 4), (2, 3), "same", 1), ((8, 6), (1, 5), (3, 2), "same", 2),
    ((9, 4), (2, 1), (3, 3), "same", 1), ((5,), (2,), (3,), "valid", 1),
    ((3, 4, 5), (2, 2, 3), (1, 2, 2), "same", 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("size", "kernel_size", "strides", "padding", "groups", "last"),
    [(*given, i % 2 == 0) for i, given in enumerate(TRANSPOSED)],
)
def test_a_transposed_convolution_is_the_transpose_of_one(
    size: Any, kernel_size: Any, strides: Any, padding: Any, groups: int, last: bool
) -> None:
    """The matrices are each other's transpose, of every size that has such an image."""
    channels, filters = 2 * groups, 3 * groups
    forth = RNG.normal(size=(*kernel_size, channels // groups, filters))
    apart = forth.reshape(*kernel_size, channels // groups, groups, filters // groups)
    back = np.swapaxes(np.moveaxis(apart, -2, -3), -1, -2)  # by group: filters, then channels
    back = np.moveaxis(back, -3, -2).reshape(*kernel_size, filters // groups, channels)

    def shape(extent: Any, n: int) -> tuple[int, ...]:
        return (*extent, n) if last else (n, *extent)

    given: dict[str, Any] = {
        "kernel_size": kernel_size, "strides": strides, "padding": padding,
        "channels_last": last, "groups": groups,
    }  # fmt: skip
    convolution = sw.Convolution(filters, shape(size, channels), init=forth, **given)
    extents = (
        -(-n // s) if padding == "same" else (n - k) // s + 1
        for n, k, s in zip(size, kernel_size, strides, strict=True)
    )
    made = sw.transforms.ConvolutionTranspose(
        channels, shape(tuple(extents), filters), shape(size, channels), init=back, **given
    )
    np.testing.assert_allclose(_matrix(made), _matrix(convolution).T, atol=1e-12)


@pytest.mark.parametrize(
    ("n", "stride", "k", "padding", "size"),
    [
        (3, 1, 3, "valid", 5), (4, 2, 3, "valid", 9), (5, 3, 5, "valid", 17), (4, 2, 1, "valid", 7),
        (3, 1, 3, "same", 3), (4, 2, 3, "same", 7), (5, 3, 5, "same", 13),
    ],
)  # fmt: skip
def test_the_smallest_output_is_the_usual_one(
    n: int, stride: int, k: int, padding: Any, size: int
) -> None:
    """As that of Nengo 4.1; up to a stride less one more may be asked for."""
    for more in range(-1, stride + 1):
        given: Any = {"kernel_size": (k,), "strides": (stride,), "padding": padding}
        make = partial(sw.transforms.ConvolutionTranspose, 2, (n, 1), (size + more, 2), **given)
        if 0 <= more < stride:
            assert make().size_out == 2 * (size + more)
        else:
            with pytest.raises(NetworkError, match=rf"ConvolutionTranspose: no .*\({size}, 2\)"):
                make()
    assert sw.transforms.ConvolutionTranspose(2, (n, 1), **given).size_out == 2 * size


def test_a_transposed_convolution_draws_its_kernel_and_names_itself() -> None:
    """When a connection is made, from the network's seed."""
    made = sw.transforms.ConvolutionTranspose(3, (4, 4, 2))
    first, again = (_weights(connected(made, 32, 108, seed)) for seed in (0, 0))
    np.testing.assert_array_equal(first, again)
    assert first.size == 3 * 3 * 2 * 3 and repr(made) == "<ConvolutionTranspose(3, (4, 4, 2), ...)>"
    with pytest.raises(NetworkError, match="ConvolutionTranspose: init is a kernel"):
        sw.transforms.ConvolutionTranspose(3, (4, 4, 2), init=np.ones((3, 3)))
    with pytest.raises(NetworkError, match=r"ConvolutionTranspose: no .* output_shape \(6, 6, 2\)"):
        sw.transforms.ConvolutionTranspose(3, (4, 4, 2), (6, 6, 2))


DRAWN: dict[str, tuple[Callable[[], Any], int, int, float]] = {
    "distribution": (lambda: UNIFORM, 4, 3, 1 / 3),
    "dense": (lambda: sw.Dense((3, 4), init=UNIFORM), 4, 3, 1 / 3),
    "sparse": (lambda: sw.Sparse((3, 4), [[0, 1], [2, 3], [1, 0]], UNIFORM), 4, 3, 1 / 3),
    "filters": (lambda: sw.Convolution(3, (4, 4, 2)), 32, 12, 1 / 3),
    "filters of a distribution": (
        lambda: sw.Convolution(3, (4, 4, 2), init=sw.distributions.Gaussian(0, 2)), 32, 12, 4.0,
    ),
}  # fmt: skip


def _weights(connection: sw.Connection) -> NDArray:
    """What was drawn for a connection, flat."""
    (found,) = (
        part.values if isinstance(part, sw.Sparse) else part.weights
        for part in flatten(connection.transform)
        if not isinstance(part, Reshape)
    )
    return np.ravel(found)


@pytest.mark.parametrize("name", DRAWN)
def test_weights_are_drawn_when_a_connection_is_made(name: str) -> None:
    """From the network's seed and the connection's place, or a seed of its own; else by chance."""
    make, size_in, size_out, variance = DRAWN[name]
    first, again, other, none = (
        _weights(connected(make(), size_in, size_out, seed)) for seed in (0, 0, 1, None)
    )
    np.testing.assert_array_equal(first, again)
    for differs in (other, none, _weights(connected(make(), size_in, size_out, None))):
        assert not np.array_equal(first, differs)
    own = [_weights(connected(make(), size_in, size_out, seed=n, label="x")) for n in (0, 1)]
    assert not np.array_equal(*own)
    many = [_weights(connected(make(), size_in, size_out, n)) for n in range(60)]
    assert np.concatenate(many).var() == pytest.approx(variance, rel=0.15)


def test_a_seed_of_its_own_and_places_in_networks() -> None:
    """The same seed draws the same anywhere; two connections, and two networks, draw apart."""
    found = []
    for label in ("a", "b"):
        with sw.Network(seed=3, label=label):
            nodes = sw.Node(np.zeros(2)), sw.Node(size_in=2)
            own = sw.Connection(*nodes, transform=UNIFORM, seed=7)
            one, two = (sw.Connection(*nodes, transform=UNIFORM) for _ in range(2))
            inner = []
            for _ in range(2):
                with sw.Network():
                    ends = sw.Node(np.zeros(2)), sw.Node(size_in=2)
                    inner.append(sw.Connection(*ends, transform=UNIFORM))
        found.append([_weights(c) for c in (own, one, two, *inner)])
    np.testing.assert_array_equal(found[0], found[1])
    assert len({w.tobytes() for w in found[0]}) == 5
    one.transform = UNIFORM  # again, by the connection's own seed
    np.testing.assert_array_equal(_weights(one), found[0][1])


def test_drawn_weights_are_in_the_file(tmp_path: Path) -> None:
    """A network that is loaded has the same ones."""
    with sw.Network(seed=0) as net:
        end = sw.Node(size_in=12)
        made = sw.Connection(sw.Node(np.zeros(32)), end, transform=sw.Convolution(3, (4, 4, 2)))
    save(net, tmp_path / "net.spike")
    (loaded,) = load(tmp_path / "net.spike").connections
    np.testing.assert_array_equal(_weights(loaded), _weights(made))
    for transform in flatten(made.transform):
        for copied in (copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):
            np.testing.assert_array_equal(copied.weights, transform.weights)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sw.Dense((2, 3), init=1.0), r"Dense: init is a matrix \(2, 3\).* got shape \(\)"),
        (lambda: sw.Dense((2, 2), init="x"), r"Dense: init must be finite numbers .* got 'x'"),
        (lambda: sw.Dense((2, 0), init=1.0), r"Dense: shape \(out, in\) must be whole numbers"),
        (lambda: sw.Sparse((2, 3)), r"Sparse: give indices \(n, 2\), or a sparse matrix"),
        (lambda: sw.Sparse((2, 3), init=SPARSE), r"sparse matrix of shape \(4, 6\)"),
        (lambda: sw.Sparse((2, 3), [[0, 0, 0]]), r"\(n, 2\), got shape \(1, 3\)"),
        (lambda: sw.Sparse((2, 3), [[0, 0]], [1, 2]), r"one for each of 1 entries; got \(2,\)"),
        (lambda: sw.Convolution(2, (6, 7, 2), kernel_size=(3,)), r"has 2 axes beside its channels"),
        (lambda: sw.Convolution(2, (6, 7, 2), padding="full"), r"'valid' or 'same', got 'full'"),
        (lambda: sw.Convolution(2, (6, 7, 3), groups=2), r"3 channels and 2 filters do not divide"),
        (lambda: sw.Convolution(2, (6, 7, 2), init=np.ones(3)), r"\(3, 3, 2, 2\), or a dist.*3,"),
        (lambda: sw.Convolution(2, (2, 2, 2)), r"the kernel is larger than the padded input"),
        (lambda: connected(sw.Sparse((2, 3), [[5, 0]]), 3, 2), r"Sparse.rows must lie in 0..1"),
        (lambda: connected(sw.Convolution(2, (4, 4, 2)), 31, 8), r"map of 32 values does not fit"),
        (lambda: connected(sw.Dense((3, 4), UNIFORM), 4, 5), r"makes values of shape \(3,\)"),
    ],
)  # fmt: skip
def test_impossible_transforms_are_refused(make: Any, message: str) -> None:
    """The error names the transform, what was given and what is wanted."""
    with pytest.raises(NetworkError, match=message):
        make()


def test_a_distribution_is_for_vectors() -> None:
    """Between shaped ends it is refused, with what to do."""
    with sw.Network():
        ends = sw.Node(np.zeros((2, 3))), sw.Node(size_in=4)
        with pytest.raises(NetworkError, match=r"not from \(2, 3\) to \(4,\); reshape them"):
            sw.Connection(*ends, transform=UNIFORM)
