"""The study: where trials are kept, so that several workers share them and none is ever lost.

Optuna keeps them, gives signs of life of those that run, and tries those of dead workers again.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

from spikewright._base.optional import require
from spikewright._base.schema import Finite, check
from spikewright.errors import TuningError
from spikewright.study.search.coding import code_of
from spikewright.study.search.measurement import Measurement, unbeaten
from spikewright.study.search.space import Values

_HEARTBEAT = 10  # seconds between signs of life of a running trial
_GRACE = 45  # seconds without one after which its worker is taken for dead
_NAME = "spikewright"
_APART = 7919  # between seeds of workers
_ATTEMPTS = 6  # at opening a study whose tables other workers make at the same time
_MOST = 24  # points of a trial that are kept


@dataclass(eq=False)
class Study:
    """Trials of one model on one set of samples, in a database or in memory.

    `trials` are Optuna's own, in order, of all workers, as they were when last looked at.
    """

    inner: Any
    trials: Sequence[Any] = ()
    _read: dict[int, list[Measurement]] = field(default_factory=dict, init=False)

    def refresh(self) -> None:
        """Look at the trials of all workers again."""
        self.trials = self.inner.get_trials(deepcopy=False)

    def finished(self) -> list[Measurement]:
        """The points of trials that were measured on all samples, in order."""
        for frozen in self.trials:
            if frozen.number not in self._read and frozen.state.name == "COMPLETE":
                self._read[frozen.number] = _points(frozen)
        return [point for number in sorted(self._read) for point in self._read[number]]

    def known(self) -> set[str]:
        """Keys of all settings that were tried, failed, are being tried or wait.

        Those of a worker that died are free again.
        """
        return {
            frozen.user_attrs["key"]
            for frozen in self.trials
            if "key" in frozen.user_attrs
            and (frozen.state.name != "FAIL" or "error" in frozen.user_attrs)
        }

    def has_twin(self, number: int, key: str) -> bool:
        """True where an earlier trial has the same setting: two workers had the same idea."""
        self.refresh()
        return any(
            frozen.number < number
            and frozen.user_attrs.get("key") == key
            and frozen.state.name != "FAIL"
            for frozen in self.trials
        )

    def counts(self) -> dict[str, int]:
        """The number of trials by state ("COMPLETE", "PRUNED", "FAIL", "RUNNING", ...)."""
        return dict(Counter(frozen.state.name for frozen in self.trials))

    def failures(self) -> dict[str, int]:
        """The number of failed trials for each reason."""
        reasons = (frozen.user_attrs.get("error") for frozen in self.trials)
        return dict(Counter(reason for reason in reasons if reason))

    def revive(self) -> None:
        """Look again, and let settings of killed processes of this machine be tried again at once.

        Those of other machines are when Optuna finds that they give no sign of life any more.
        """
        self.refresh()
        for frozen in self.trials:
            if frozen.state.name == "RUNNING" and _is_gone(frozen.user_attrs.get("worker")):
                try:
                    self.inner.tell(frozen.number, state=type(frozen.state).FAIL)
                except ValueError:  # another worker was faster
                    continue
                _again(self.inner, frozen)
        self.refresh()


def worker_name() -> str:
    """This process, as trials name the worker that runs them."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _is_gone(worker: Any) -> bool:
    """Whether a worker is a process of this machine that does not run any more."""
    host, _, pid = str(worker).rpartition(":")
    if os.name != "posix" or host != socket.gethostname():  # elsewhere asking might stop it
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _again(study: Any, frozen: Any) -> None:
    """Enqueue a trial that was lost once more."""
    kept = {name: value for name, value in frozen.user_attrs.items() if name != "worker"}
    if "asked" in kept:
        study.enqueue_trial(kept["asked"], user_attrs=kept)


def open_study(storage: str | Path | None, facts: Mapping[str, Any], seed: int) -> Study:
    """Open or begin the study at a path (SQLite), an Optuna URL, or in memory (None).

    `facts` are the conditions that its trials hold for: a study of other facts is refused. Raises
    `TuningError` for other facts, and where the storage cannot be reached.
    """
    optuna = require("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # failures are noted with the trial
    with quiet():
        inner = _create_study(storage, seed)
        _check_facts(inner, facts)
    study = Study(inner)
    study.refresh()
    if study.trials:  # another worker, or the same one later: other draws than before
        inner.sampler = _sampler(seed + _APART * len(study.trials))
    return study


def _sampler(seed: int) -> Any:
    samplers = require("optuna").samplers
    with quiet():
        return samplers.TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=8)


def _create_study(storage: str | Path | None, seed: int) -> Any:
    """Optuna's study; another worker may be making the same one at this moment."""
    optuna = require("optuna")
    for attempt in range(_ATTEMPTS):
        try:
            return optuna.create_study(
                study_name=_NAME, storage=_storage(storage), sampler=_sampler(seed),
                load_if_exists=True,
            )  # fmt: skip
        except Exception as error:  # whatever a driver of a database raises
            there = "://" in str(storage) or Path(str(storage)).is_file()
            final = isinstance(error, ImportError | ValueError) or _is_no_database(error)
            if attempt + 1 < _ATTEMPTS and there and not final:
                time.sleep(0.5)
                continue
            reason = str(error).split("\n")[0]
            raise TuningError(
                f"the study at {without_password(storage)!r} cannot be opened "
                f"({type(error).__name__}: {reason}). Give a path for a SQLite file, or a URL that "
                "Optuna knows"
            ) from error
    raise TypeError("unreachable: the last attempt returns or raises")


def _is_no_database(error: Exception) -> bool:
    """Whether SQLite found that a file is no database.

    A lock, which may end, is a subclass of that error.
    """
    return type(getattr(error, "orig", None)) is sqlite3.DatabaseError


def _storage(where: str | Path | None) -> Any:
    if where is None:
        return None
    optuna = require("optuna")
    url = str(where) if "://" in str(where) else f"sqlite:///{Path(where).absolute()}"
    sqlite = url.startswith("sqlite")
    known = signature(optuna.storages.RDBStorage.__init__).parameters
    callback = "heartbeat_stale_trial_callback"  # since Optuna 5
    storage = optuna.storages.RDBStorage(
        url,
        engine_kwargs={"connect_args": {"timeout": 60}} if sqlite else {},
        heartbeat_interval=_HEARTBEAT,
        grace_period=_GRACE,
        **{callback if callback in known else "failed_trial_callback": _again},
    )
    if sqlite:
        event = require("sqlalchemy").event
        event.listen(storage.engine, "connect", _write_ahead)
        event.listen(storage.engine, "begin", _begin)
        storage.engine.dispose()
    return storage


def without_password(storage: str | Path | None) -> str:
    """The storage of a study, without the password that a URL may hold."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", str(storage))


def _write_ahead(connection: Any, _: Any) -> None:
    """Write ahead: a killed process loses nothing, and a commit need not wait for the disk."""
    connection.isolation_level = None  # transactions are begun below, not by the driver
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin(connection: Any) -> None:
    """Lock before the first look: else two workers may both find a trial that waits, and take it.

    Optuna asks for the row to be locked as it reads it, which SQLite cannot do.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _check_facts(study: Any, facts: Mapping[str, Any]) -> None:
    """Raise `TuningError` where a study is about something else; note the facts of a new one.

    Parameters that an earlier version did not search have one value in all of its trials.
    """
    plain = json.loads(json.dumps(dict(facts)))
    found = study.user_attrs.get("facts")
    if found is None:
        study.set_user_attr("facts", plain)
        return
    if "space" in found:
        plain["space"] = {n: text for n, text in plain["space"].items() if n in found["space"]}
    different = sorted(name for name in {*plain, *found} if plain.get(name) != found.get(name))
    if different:
        name = different[0]
        raise TuningError(
            f"the study is one of another {name}: it has {found.get(name)!r}, and now it is "
            f"{plain.get(name)!r}. Go on with the same arguments, or give another study="
        )


def _points(frozen: Any) -> list[Measurement]:
    """The points that a finished trial keeps; raises `TuningError` for other data."""
    values, origin = values_of(frozen), str(frozen.user_attrs.get("origin", ""))
    with _readable_trial(frozen):
        setting = {"values": values, "trial": frozen.number, "origin": origin}
        points = json.loads(frozen.user_attrs["points"])
        return [Measurement.of(entry, **setting) for entry in points]


def values_of(trial: Any) -> Values:
    """The values that one of Optuna's trials keeps; raises `TuningError` for other data."""
    with _readable_trial(trial):
        values: Values = json.loads(trial.user_attrs["values"])
        check(values, dict[str, bool | Finite | str | None])
        code_of(values)
    return values


@contextmanager
def _readable_trial(trial: Any) -> Iterator[None]:
    """Raise `TuningError` for a trial that cannot be read because another program wrote it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RecursionError, TuningError) as error:
        raise TuningError(
            f"trial {trial.number} of the study was not written by this program ({error!r}). "
            "Begin a new study"
        ) from error


def points_as_json(points: Sequence[Measurement]) -> str:
    """The points of a trial that matter, as JSON: those that no other beats at its steps."""
    kept = {id(p) for p in unbeaten(points)}
    by_steps: dict[int, list[Measurement]] = {}
    for point in points:
        by_steps.setdefault(point.steps, []).append(point)
    kept |= {id(min(some, key=lambda p: (p.drop, p.cost))) for some in by_steps.values()}
    chosen = [point for point in points if id(point) in kept][-_MOST:]
    return json.dumps([point.as_dict() for point in chosen])


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's notes on its experimental parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
