"""The study: where trials are kept, so that several workers share them and none is ever lost."""

from __future__ import annotations

import json
import os
import re
import socket
import time
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from inspect import signature
from pathlib import Path
from typing import Any

from spikewright._base.optional import require
from spikewright._base.schema import Finite, check
from spikewright.errors import TuningError
from spikewright.study.search.measurement import Measurement, front
from spikewright.study.search.space import Values

_HEARTBEAT = 10  # seconds between signs of life of a running trial
_GRACE = 45  # seconds without one after which its worker is taken for dead
_UNNAMED = 10  # seconds after which a trial that names no worker has lost it: naming comes first
_MOMENT = 0.2  # seconds between looks at trials that name no worker yet
_NAME = "spikewright"
_APART = 7919  # between seeds of workers
_ATTEMPTS = 6  # at opening a study that other workers open at the same time
_HALF_MADE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CONSTRAINT", "SQLITE_ERROR")
"""The kinds of SQLite's errors while another worker makes the same tables."""
_MARKS = ("origin", "asked", "key", "values")  # what a setting that is tried again keeps


@dataclass(frozen=True, eq=False)
class Trial:
    """One finished trial: the values that were tried, their origin, their results."""

    number: int
    values: Values
    origin: str
    points: tuple[Measurement, ...]


@dataclass(eq=False)
class Study:
    """Trials of one model on one set of samples, in a database or in memory."""

    inner: Any
    _read: dict[int, Trial] = field(default_factory=dict, init=False)
    _all: list[Any] = field(default_factory=list, init=False)

    def refresh(self) -> None:
        """Read the trials of all workers again; everything else here shows those last read."""
        self._all = self.inner.get_trials(deepcopy=False)

    @property
    def trials(self) -> Sequence[Any]:
        """Optuna's own trials, in order."""
        return self._all

    def finished(self) -> list[Trial]:
        """Trials that were measured on all samples, in order."""
        for frozen in self._all:
            if frozen.number not in self._read and frozen.state.name == "COMPLETE":
                self._read[frozen.number] = _trial(frozen)
        return [self._read[number] for number in sorted(self._read)]

    def known(self) -> set[str]:
        """Keys of all settings that were tried, failed, are being tried or wait.

        Those of a worker that died are free again.
        """
        return {
            frozen.user_attrs["key"]
            for frozen in self._all
            if "key" in frozen.user_attrs
            and (frozen.state.name != "FAIL" or "error" in frozen.user_attrs)
        }

    def has_twin(self, number: int, key: str) -> bool:
        """True where an earlier trial has the same setting: two workers had the same idea at once.

        Of two only the later one gives way, so it waits until earlier ones have said theirs.
        """
        until = time.monotonic() + _UNNAMED
        self.refresh()
        while self._undecided(number) and time.monotonic() < until:
            time.sleep(_MOMENT)
            self.refresh()
        return any(
            frozen.number < number
            and frozen.user_attrs.get("key") == key
            and frozen.state.name != "FAIL"
            for frozen in self._all
        )

    def _undecided(self, number: int) -> bool:
        """True where an earlier trial is running that does not name its setting yet."""
        return any(
            f.number < number and f.state.name == "RUNNING" and "key" not in f.user_attrs
            for f in self._all
        )

    def counts(self) -> dict[str, int]:
        """The number of trials by state ("COMPLETE", "PRUNED", "FAIL", "RUNNING", ...)."""
        counts: dict[str, int] = {}
        for frozen in self._all:
            counts[frozen.state.name] = counts.get(frozen.state.name, 0) + 1
        return counts

    def failures(self) -> dict[str, int]:
        """The number of failed trials for each reason."""
        reasons = (frozen.user_attrs.get("error") for frozen in self._all)
        return dict(Counter(reason for reason in reasons if reason))

    def revive(self) -> int:
        """Fail trials whose worker has died, and let their settings be tried again.

        On this machine a worker is dead when its process has gone; elsewhere when it has given no
        sign of life for a while. Looks again at all trials. Returns how many there were.
        """
        optuna = require("optuna")
        with quiet():
            optuna.storages.fail_stale_trials(self.inner)
        revived = 0
        self.refresh()
        for frozen in self._all:
            if frozen.state.name != "RUNNING" or not _is_lost(frozen):
                continue
            try:
                self.inner.tell(frozen.number, state=optuna.trial.TrialState.FAIL)
            except ValueError:  # another worker was faster
                continue
            _again(self.inner, frozen)
            revived += 1
        if revived:
            self.refresh()
        return revived

    def settle(self) -> None:
        """Wait until every running trial names its worker or is taken for lost; revive those.

        So a search that ends soon after another one was killed leaves none behind.
        """
        until = time.monotonic() + _UNNAMED + _MOMENT
        self.revive()
        while self._nameless() and time.monotonic() < until:
            time.sleep(_MOMENT)
            self.revive()

    def _nameless(self) -> bool:
        """Whether a trial is running that does not say who runs it."""
        return any(f.state.name == "RUNNING" and "worker" not in f.user_attrs for f in self._all)


def _is_lost(frozen: Any) -> bool:
    """Whether the worker of a running trial has died, or did so before it could say its name."""
    worker = frozen.user_attrs.get("worker")
    if worker is not None or frozen.datetime_start is None:
        return _is_gone(worker)
    age: timedelta = datetime.now() - frozen.datetime_start
    return age.total_seconds() > _UNNAMED


def _is_gone(worker: Any) -> bool:
    """Whether a worker is a process of this machine that does not run any more."""
    if os.name != "posix" or not isinstance(worker, str):
        return False  # elsewhere asking might stop the process
    host, _, pid = worker.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def worker_name() -> str:
    """This process, as trials name the worker that runs them."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _again(study: Any, frozen: Any) -> None:
    """Enqueue a trial that was lost once more."""
    values = frozen.user_attrs.get("asked")
    if values is not None:
        kept = {k: v for k, v in frozen.user_attrs.items() if k in _MARKS}
        study.enqueue_trial(values, user_attrs={**kept, "instead of": frozen.number})


def open_study(
    storage: str | Path | None,
    facts: Mapping[str, Any],
    seed: int,
    pruner: Any = None,
    later: Collection[str] = (),
) -> Study:
    """Open or begin the study at a path (SQLite), an Optuna URL, or in memory (None).

    `facts` are the conditions that its trials hold for: a study of other facts is refused. A
    parameter of `later` may be missing in its "space": an earlier version began it. Raises
    `TuningError` for other facts, and where the storage cannot be reached.
    """
    optuna = require("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # failures are noted with the trial
    with quiet():
        inner = _begun(storage, seed, pruner)
        _check_facts(inner, facts, later)
    study = Study(inner)
    study.refresh()
    if study.trials:  # another worker, or the same one later: other draws than before
        inner.sampler = _sampler(seed + _APART * len(study.trials))
    return study


def _sampler(seed: int) -> Any:
    samplers = require("optuna").samplers
    with quiet():
        return samplers.TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=8)


def _begun(storage: str | Path | None, seed: int, pruner: Any) -> Any:
    """Optuna's study; another worker may be making the same one at this moment."""
    optuna = require("optuna")
    for attempt in range(_ATTEMPTS):
        try:
            return optuna.create_study(
                study_name=_NAME, storage=_storage(storage), sampler=_sampler(seed), pruner=pruner,
                load_if_exists=True,
            )  # fmt: skip
        except Exception as error:  # whatever a driver of a database raises
            if attempt + 1 < _ATTEMPTS and _is_half_made(error):
                time.sleep(0.5)
                continue
            reason = str(error).split("\n")[0]
            raise TuningError(
                f"the study at {shown(storage)!r} cannot be opened ({type(error).__name__}: "
                f"{reason}). Give a path for a SQLite file, or a URL that Optuna knows"
            ) from error
    raise TypeError("unreachable: the last attempt returns or raises")


def _is_half_made(error: BaseException | None) -> bool:
    """True for errors of a database that another worker is making, told by type or cause."""
    exceptions = require("sqlalchemy").exc
    if isinstance(error, require("optuna").exceptions.DuplicatedStudyError):
        return True
    if isinstance(error, exceptions.DBAPIError):
        name = getattr(error.orig, "sqlite_errorname", None)
        if name is not None:
            return str(name).startswith(_HALF_MADE)
        return isinstance(error, exceptions.IntegrityError | exceptions.ProgrammingError)
    return error is not None and _is_half_made(error.__cause__)


def _storage(where: str | Path | None) -> Any:
    if where is None:
        return None
    optuna = require("optuna")
    url = str(where) if "://" in str(where) else f"sqlite:///{Path(where).absolute()}"
    known = signature(optuna.storages.RDBStorage.__init__).parameters
    callback = "heartbeat_stale_trial_callback"  # since Optuna 5
    storage = optuna.storages.RDBStorage(
        url,
        engine_kwargs={"connect_args": {"timeout": 60}} if _is_sqlite(url) else {},
        heartbeat_interval=_HEARTBEAT,
        grace_period=_GRACE,
        **{callback if callback in known else "failed_trial_callback": _again},
    )
    if _is_sqlite(url):
        event = require("sqlalchemy").event
        event.listen(storage.engine, "connect", _write_ahead)
        event.listen(storage.engine, "begin", _begin)
        storage.engine.dispose()
    return storage


def shown(storage: str | Path | None) -> str:
    """The storage of a study, without the password that a URL may hold."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", str(storage))


def _is_sqlite(url: str) -> bool:
    return url.startswith("sqlite")


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


def _check_facts(study: Any, facts: Mapping[str, Any], later: Collection[str]) -> None:
    """Raise `TuningError` where a study is about something else; note the facts of a new one."""
    plain = json.loads(json.dumps(dict(facts)))
    found = study.user_attrs.get("facts")
    if found is None:
        study.set_user_attr("facts", plain)
        return
    known = found.get("space", {})
    for name in set(later) - set(known):
        plain.get("space", {}).pop(name, None)
    different = sorted(name for name in {*plain, *found} if plain.get(name) != found.get(name))
    if different:
        name = different[0]
        raise TuningError(
            f"the study is one of another {name}: it has {found.get(name)!r}, and now it is "
            f"{plain.get(name)!r}. Go on with the same arguments, or give another study="
        )


def _trial(frozen: Any) -> Trial:
    values, origin = values_of(frozen), str(frozen.user_attrs.get("origin", ""))
    with _own(frozen):
        points = json.loads(frozen.user_attrs["points"])
        check(points, list[Any])
    return Trial(frozen.number, values, origin, tuple(map(Measurement.of, points)))


def values_of(trial: Any) -> Values:
    """The values that one of Optuna's trials keeps; raises `TuningError` for other data."""
    with _own(trial):
        values: Values = json.loads(trial.user_attrs["values"])
        check(values, dict[str, bool | Finite | str | None])
    return values


@contextmanager
def _own(trial: Any) -> Iterator[None]:
    """Raise `TuningError` for a trial that cannot be read because another program wrote it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise TuningError(
            f"trial {trial.number} of the study was not written by this program ({error!r}). "
            "Begin a new study"
        ) from error


def note(trial: Any, **attributes: Any) -> None:
    """Keep something with a trial."""
    for name, value in attributes.items():
        trial.set_user_attr(name, value)


def written(points: Sequence[Measurement], most: int = 24) -> str:
    """The points of a trial that matter, as JSON: those that no other beats at its steps."""
    kept = {id(p) for p in front(points)}
    by_steps: dict[int, list[Measurement]] = {}
    for point in points:
        by_steps.setdefault(point.steps, []).append(point)
    kept |= {id(min(some, key=lambda p: (p.paired.drop, p.cost))) for some in by_steps.values()}
    chosen = [point for point in points if id(point) in kept][-most:]
    return json.dumps([point.as_dict() for point in chosen])


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's notes on its experimental parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
