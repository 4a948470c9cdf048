"""Executors: every task once, results as they come, errors as they are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import click
import pytest

from spikewright import executors
from spikewright._base import optional as _optional
from spikewright.cli import main
from spikewright.errors import MissingExtraError, SimulationError
from spikewright.executors.base import Local, Pool


def times(shared: int, task: int, threads: int | None) -> int:
    """A product; 13 has none."""
    if task == 13:
        raise SimulationError("13 is not to be had")
    return shared * task


@pytest.fixture(params=["local", "threads"])
def executor(request: pytest.FixtureRequest) -> Iterator[executors.Executor]:
    """Each of them, as a user asks for it."""
    with ThreadPoolExecutor(2) as pool:
        yield executors.get(pool if request.param == "threads" else request.param)


def test_every_task_is_done_once(executor: executors.Executor) -> None:
    """In some order; more tasks than are given out at a time."""
    found = list(executor.completed(times, 3, iter(range(13))))

    assert sorted(found) == [3 * n for n in range(13)]


def test_no_task_is_no_work(executor: executors.Executor) -> None:
    """And ends at once."""
    assert list(executor.completed(times, 3, [])) == []


def test_errors_are_those_of_the_task(executor: executors.Executor) -> None:
    """The first ends the work."""
    with pytest.raises(SimulationError, match="13 is not to be had"):
        list(executor.completed(times, 3, range(100)))


def test_tasks_are_drawn_as_they_are_needed(executor: executors.Executor) -> None:
    """An endless stream may be left at any time: few tasks are waiting beyond those done."""
    drawn = []

    def endless() -> Iterator[int]:
        for number in count(100):
            drawn.append(number)
            yield number

    results = executor.completed(times, 1, endless())
    for _ in range(5):
        next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(drawn) < 5 + 2 * 300


def test_only_elsewhere_needs_data() -> None:
    """Work that stays in the process needs no copies."""
    assert not Local.remote
    assert Pool.remote


def test_what_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that holds it."""
    for module in ("dask", "distributed"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'spikewright\[cluster\]'"):
        executors.get("dask")


@pytest.mark.parametrize("bad", ["cloud", None, 3, object()])
def test_what_is_no_executor_is_refused(bad: Any) -> None:
    """With the names of those that are."""
    with pytest.raises(SimulationError, match='"local", "dask", a dask'):
        executors.get(bad)


def test_an_address_belongs_to_a_cluster() -> None:
    """Nothing is ignored."""
    with pytest.raises(SimulationError, match="address"):
        executors.get("local", "tcp://somewhere:8786")


def test_extras_are_known() -> None:
    """Each package that is asked for has an extra that installs it."""
    assert {_optional.EXTRA_OF[name] for name in ("dask", "distributed")} == {"cluster"}


def test_dask_is_not_imported_to_know_its_client() -> None:
    """Asking what an object is loads nothing."""
    code = (
        "import sys; from spikewright import executors; executors.get('local'); "
        "print('distributed' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two workers in this process."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=3, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as found,
    ):
        yield found


def shares(shared: int, task: int, threads: int | None) -> int | None:
    """How many threads a task may use."""
    return threads


def test_dask_does_every_task_once(client: Any) -> None:
    """Many more than it has threads; each with its worker's threads."""
    place = executors.get(client)

    assert sorted(place.completed(times, 2, iter(range(100, 160)))) == list(range(200, 320, 2))
    assert set(place.completed(shares, 2, range(4))) == {3}
    with pytest.raises(SimulationError, match="13 is not to be had"):
        list(place.completed(times, 3, range(40)))


def test_dask_gives_back_what_is_left(client: Any) -> None:
    """Whoever stops in the middle leaves nothing running on the cluster."""
    results = executors.get(client).completed(times, 1, count(100))
    assert next(results) >= 100
    results.close()  # type: ignore[attr-defined]

    assert list(executors.get(client).completed(times, 1, [7])) == [7]


def test_commands_offer_the_executors_of_the_registry() -> None:
    """A cluster that is registered is a choice of every command: nothing else lists them."""
    option = next(p for p in main.commands["evaluate"].params if p.name == "executor")
    assert option.type.convert("local", option, None) == "local"
    names = ", ".join(sorted(executors.NAMES))
    with pytest.raises(click.BadParameter, match=f"'slurm' is no executor; executors are {names}"):
        option.type.convert("slurm", option, None)


@pytest.mark.parametrize("name", executors.CLUSTERS)
def test_an_unknown_executor_is_told_the_names(name: str) -> None:
    """The refusal lists what is registered."""
    with pytest.raises(SimulationError, match=f'"{name}"'):
        executors.get("slurm")
    with pytest.raises(SimulationError, match=f'"{name}"'):
        executors.get("local", "tcp://10.0.0.1:8786")
