"""Models of scikit-learn: linear ones and perceptrons are read, trees and the like refused."""

from __future__ import annotations

import re
import warnings
from itertools import cycle
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx_classical_cases import CASES, ML, ONE, THREE, TWO, classical
from onnx_helpers import model, node, random
from skl2onnx import to_onnx
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeRegressor

import spikewright as sw
from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.onnx import READERS, read
from spikewright.graph import evaluate
from spikewright.graph.layers import Divide


def run(proto: onnx.ModelProto, names: list[str], x: NDArray) -> list[NDArray]:
    """Values of a model by onnxruntime, as the file has them."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    del made.graph.output[:]
    made.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    return list(session.run(None, {session.get_inputs()[0].name: x}))


def test_every_operator_of_the_domain_has_a_case() -> None:
    """A reader that is registered is tested."""
    assert {operator for domain, operator in READERS if domain == ML} == set(CASES)


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [(operator, *case) for operator, cases in CASES.items() for case in cases],
)
def test_an_operator_computes_what_onnxruntime_does(
    operator: str, inputs: str, attributes: dict[str, Any]
) -> None:
    """With every option that is read, on random input."""
    proto, x = classical(operator, inputs, attributes), random(7, 4, seed=3)
    (expected,) = run(proto, ["y"], x)
    source = read(proto)
    found = evaluate(source.graph, {"x": x})["y"]
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-5, atol=1e-6)
    assert np.unique(expected).size > 1
    assert sw.convert(proto).verify()


REFUSED = [
    ("LinearClassifier", {**THREE, "post_transform": "PROBIT"}, "PROBIT"),
    ("LinearClassifier", {**ONE, **TWO, "post_transform": "SOFTMAX"}, "softmax of one score"),
    ("LinearClassifier", {**THREE, "post_transform": "SOFTMAX_ZERO"}, "SOFTMAX_ZERO"),
    ("Imputer", {"imputed_value_floats": [1.0], "replaced_value_float": -1.0}, "one number by"),
    ("Scaler", {"offset": [1.0]}, "scale is missing"),
    ("Normalizer", {"norm": "L7"}, "'L7'"),
]


@pytest.mark.parametrize(("operator", "attributes", "message"), REFUSED)
def test_an_option_that_jumps_is_refused(
    operator: str, attributes: dict[str, Any], message: str
) -> None:
    """By name, with what it is that cannot be read."""
    with pytest.raises(UnsupportedLayerError, match=rf"'it'.*{message}"):
        read(classical(operator, "x", attributes))


# --- as scikit-learn's exporter writes them ------------------------------------------------------

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)).astype(np.float32)
THREE_CLASSES = np.argmax(X[:, :3] + 0.3 * RNG.normal(size=(120, 3)), axis=1)
TWO_CLASSES = (X[:, 0] > X[:, 1]).astype(int)
REAL = (X @ RNG.normal(size=4)).astype(np.float32)


def exported(estimator: Any, y: NDArray, zipmap: bool) -> onnx.ModelProto:
    """The fitted estimator as its exporter writes it, probabilities as a dictionary or not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few iterations are enough here
        estimator.fit(X, y)
    options = {"zipmap": zipmap} if hasattr(estimator, "predict_proba") else None
    return to_onnx(estimator, X[:1], options=options)


CLASSIFIERS = [
    (LogisticRegression(), THREE_CLASSES),
    (LogisticRegression(), TWO_CLASSES),
    (LinearSVC(), TWO_CLASSES),
    (Perceptron(), THREE_CLASSES),
    (OneVsRestClassifier(LogisticRegression()), THREE_CLASSES),
    (MLPClassifier(hidden_layer_sizes=(8, 6), max_iter=40, random_state=0), THREE_CLASSES),
    (MLPClassifier(activation="tanh", max_iter=40, random_state=0), TWO_CLASSES),
    (GaussianNB(), THREE_CLASSES),
    (make_pipeline(MinMaxScaler(), PCA(2), LogisticRegression()), THREE_CLASSES),
    (make_pipeline(Normalizer("l2"), LogisticRegression()), THREE_CLASSES),
]


@pytest.mark.parametrize(
    ("estimator", "y", "zipmap"),
    [(*case, zipmap) for case, zipmap in zip(CLASSIFIERS, cycle([False, True]), strict=False)],
    ids=lambda value: str(value)[:40].replace("\n", " "),
)
def test_a_classifier_without_its_label(estimator: Any, y: NDArray, zipmap: bool) -> None:
    """Its label is refused, with the outputs that leave it out; kept, these are its scores, and
    choose the class that scikit-learn chooses.
    """
    proto = exported(estimator, y, zipmap)
    with pytest.raises(UnsupportedLayerError, match=r"outputs=\[.*\] cuts it") as caught:
        sw.convert(proto)
    names = re.findall(r"'([^']+)'", str(caught.value).partition("outputs=")[2].partition("]")[0])
    conversion = sw.convert(proto, outputs=names)
    values = {n.name: n.output[-1] for n in proto.graph.node}
    expected = run(proto, [values.get(name, name) for name in names], X)
    scores = evaluate(conversion.graph, {next(iter(conversion.inputs)): X})
    for name, value in zip(names, expected, strict=True):
        np.testing.assert_allclose(scores[name], value, rtol=1e-4, atol=1e-5)
    first = scores[names[0]]
    chosen = first.argmax(axis=1) if first.shape[-1] > 1 else (first[:, 0] > 0).astype(int)
    assert (chosen == estimator.predict(X)).mean() > 0.99


@pytest.mark.parametrize("between", [[], [PCA(3)]], ids=["alone", "components"])
def test_features_of_different_units_are_verified(between: list[Any]) -> None:
    """A scaler brings them onto one scale, in the network too: the data of most tables."""
    units = np.geomspace(1e-2, 1e4, 4)
    estimator = make_pipeline(StandardScaler(), *between, LogisticRegression())
    x = (X * units).astype(np.float32)
    proto = to_onnx(estimator.fit(x, THREE_CLASSES), x[:1], options={"zipmap": False})
    conversion = sw.convert(proto, outputs=["probabilities"])
    assert conversion.verify(x)
    found = conversion.run(x, steps=1, progress=False).predict()
    np.testing.assert_allclose(found, estimator.predict_proba(x), atol=1e-6)


@pytest.mark.parametrize(
    "estimator",
    [LinearRegression(), MLPRegressor(hidden_layer_sizes=(6,), max_iter=40, random_state=0)],
)
def test_a_regressor_converts_as_it_is(estimator: Any) -> None:
    """It has no label, so nothing needs to be cut."""
    proto = exported(estimator, REAL, False)
    conversion = sw.convert(proto)
    (value,) = evaluate(conversion.graph, {"X": X}).values()
    np.testing.assert_allclose(value[:, 0], estimator.predict(X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("estimator", "y", "reason"),
    [
        (SVC(), THREE_CLASSES, "every support vector"),
        (RandomForestClassifier(3), THREE_CLASSES, "trees compare features with thresholds"),
        (DecisionTreeRegressor(), REAL, "trees compare features with thresholds"),
        (KNeighborsClassifier(), THREE_CLASSES, "makes positions out of"),
    ],
)
def test_what_is_no_network_is_refused(estimator: Any, y: NDArray, reason: str) -> None:
    """Support vectors, trees and neighbours, with what to train in their place."""
    with pytest.raises(UnsupportedLayerError, match=reason):
        sw.convert(exported(estimator, y, False))


def test_a_normalised_softmax_is_not_divided_again() -> None:
    """The exporter normalises probabilities that sum to one already: there is nothing to do."""
    nodes = [
        node("Softmax", "x", "s", axis=-1),
        node("Cast", "s", "c", to=1),
        node("Normalizer", "c", "y", "it", domain=ML, norm="L1"),
    ]
    proto = model(nodes, {"x": ["n", 4]}, ["y"], domains=[ML])
    assert not any(isinstance(n.layer, Divide) for n in read(proto).graph)
    plain = model(nodes[2:], {"c": ["n", 4]}, ["y"], domains=[ML])
    assert any(isinstance(n.layer, Divide) for n in read(plain).graph)


def test_a_label_that_is_used_is_refused_where_it_is() -> None:
    """Arithmetic on labels has no reading, and that is said of the arithmetic."""
    nodes = [
        node("LinearClassifier", "x", "label p", "it", domain=ML, classlabels_ints=[0, 1, 2],
             **THREE),
        node("Cast", "label", "y", "votes", to=1),
    ]  # fmt: skip
    with pytest.raises(UnsupportedLayerError, match=r"'votes' .Cast.*label of the largest score"):
        read(model(nodes, {"x": ["n", 4]}, ["y"], domains=[ML]))
