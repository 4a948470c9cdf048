"""Wheels are tried before they are kept: by one check, for every wheel that is built."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from scripts import check_wheel

import spikewright as sw

ROOT = Path(__file__).parents[1]


def test_every_wheel_is_tried_by_the_same_check() -> None:
    """By cibuildwheel, and by the script of this machine's wheel, which the workflow calls."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    command = project["tool"]["cibuildwheel"]["test-command"]
    script = (ROOT / "scripts" / "wheels.sh").read_text(encoding="utf-8")
    workflow = (ROOT / ".github" / "workflows" / "wheels.yml").read_text(encoding="utf-8")
    (check,) = re.findall(r"\{project\}/(\S+)", command)
    assert (ROOT / check).samefile(check_wheel.__file__)
    assert f'"$ROOT/{check}"' in script
    assert "- run: scripts/wheels.sh\n" in workflow
    assert os.access(ROOT / "scripts" / "wheels.sh", os.X_OK)


def test_the_repository_is_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that Python finds in the repository is refused: the wheel was not tried then."""
    monkeypatch.setattr(check_wheel, "HERE", Path(sw.__file__).resolve().parents[1])
    with pytest.raises(AssertionError, match="not an installed wheel"):
        check_wheel.main()


def test_a_wheel_without_kernels_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would run on the reference engine, unseen."""
    monkeypatch.setattr(check_wheel, "HERE", tmp_path)
    monkeypatch.setattr(check_wheel.engines, "available", lambda: ["reference"])
    with pytest.raises(AssertionError, match="no native engine"):
        check_wheel.main()


def test_a_wheel_that_spikes_otherwise_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One spike of difference is enough."""
    counts = {"native": np.eye(3), "reference": np.eye(3)}
    counts["reference"][0, 1] = 1.0
    monkeypatch.setattr(check_wheel, "HERE", tmp_path)
    monkeypatch.setattr(check_wheel, "spikes", counts.__getitem__)
    with pytest.raises(AssertionError, match="differ"):
        check_wheel.main()


@pytest.mark.slow
def test_what_works_passes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says where the package is, and how many spikes were compared."""
    monkeypatch.setattr(check_wheel, "HERE", tmp_path)
    check_wheel.main()
    found = re.search(r": (\d+) spikes, equal on both", capsys.readouterr().out)
    assert found is not None and int(found[1]) > 100


def test_a_release_is_published_by_a_tag_alone() -> None:
    """Files of the workflow of wheels are checked, then sent; only what sends them gets a token."""
    folder = ROOT / ".github" / "workflows"
    found = {
        n: yaml.safe_load((folder / f"{n}.yml").read_text("utf-8")) for n in ("release", "wheels")
    }
    jobs = found["release"]["jobs"]
    assert set(found["wheels"][True]) == {
        "workflow_call",
        "workflow_dispatch",
    }  # on: no tag builds twice
    assert found["release"][True]["push"] == {"tags": ["v*"]}
    assert jobs["build"]["uses"] == "./.github/workflows/wheels.yml"
    assert jobs["check"]["needs"] == "build" and found["release"]["permissions"] == {
        "contents": "read"
    }
    assert "github.ref_type == 'tag'" in jobs["pypi"]["if"] and "'push'" in jobs["pypi"]["if"]
    assert "inputs.testpypi" in jobs["testpypi"]["if"]
    for name, job in jobs.items():
        publishes = [s for s in job.get("steps", ()) if "pypi-publish" in s.get("uses", "")]
        assert len(publishes) == (name in {"pypi", "testpypi"})
        assert job.get("permissions") == ({"id-token": "write"} if publishes else None)
        if publishes:
            assert job["needs"] == "check" and job["environment"]["name"] == name
        assert "password" not in str(job)
