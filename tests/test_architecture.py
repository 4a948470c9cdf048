"""The architecture, as a test: who may import whom, and what importing the package costs."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import pytest

import spikewright

ROOT = Path(spikewright.__file__).parent
PACKAGE = "spikewright"
FRAMEWORKS = {
    "torch", "torchvision", "keras", "tensorflow", "jax", "onnx", "onnxruntime", "nir", "h5py",
    "matplotlib", "sklearn", "scipy", "dask", "distributed", "optuna", "sqlalchemy", "nengo",
    "starlette", "uvicorn",
}  # fmt: skip

# What each unit may import, the project's base apart. A unit is a folder or a file at the top, or a
# folder inside one that has a row of its own. Imports point up this table.
_MODEL = {"graph", "network"}
_RUN = _MODEL | {"lower", "engines", "measure", "running", "executors"}
_RULES = {"choosing.statistics", "choosing.rules", "choosing"}
_CONVERT = {"frontends", "passes", "conversion"}
MAY_IMPORT: dict[str, set[str]] = {
    "advice": set(),
    "errors": {"advice"},
    "_base": {"advice", "errors"},
    "records": set(),
    "graph": set(),
    "network": set(),
    "sources": set(),
    "frontends": {"graph", "sources"},
    "passes": {"graph"},
    "lower": _MODEL,
    "engines": {"network"},
    "simulator": {"network", "engines", "simulator_data"},
    "simulator_data": {"network", "engines"},
    "measure": {"records", "report", "engines"} | _MODEL,
    "chips": {"network", "engines", "measure"},
    "running.encoders": set(),
    "quantising": {"chips", "choosing.statistics", "lower"} | _MODEL,
    "running": {"running.encoders", "lower", "engines", "measure"} | _MODEL,
    "running.storage": {"running", "lower", "passes", "quantising"} | _MODEL,
    "executors": set(),
    "report": {"records"},
    "choosing.statistics": {"graph"},
    "choosing.rules": {"choosing.statistics", "graph", "measure"},
    "choosing": _RULES | _RUN,
    "diagnosis": _RUN
    | {"records", "passes", "choosing", "choosing.rules", "choosing.statistics"},
    "evaluation": _RUN | {
        "records", "passes", "choosing", "choosing.rules", "running.encoders", "running.storage",
    },
    "training": _RUN | _CONVERT | {
        "records", "choosing", "choosing.rules", "choosing.statistics", "evaluation",
    },
    "conversion": _RUN | _CONVERT | {
        "records", "choosing", "choosing.statistics", "running.encoders", "running.storage",
        "diagnosis", "evaluation", "training", "chips", "quantising",
    },
    "study": _RUN | _CONVERT | _RULES | {
        "records", "report", "evaluation", "quantising", "training",
    },
    "modelling.networks": {"network"},
    "modelling.semantic": {"network", "modelling.networks"},
    "modelling.nengo_reader": {"network"},
    "modelling.nengo_simulator": {"network", "engines", "simulator", "modelling.nengo_reader"},
    "modelling": {"network", "engines", "simulator"},
    "nengo": {"modelling.nengo_simulator"},
    "exchange": _MODEL | {"lower", "running"},
    "exchange.onnx": _MODEL | {"exchange", "lower", "engines", "running"},
    "exchange.nir": _MODEL | {"exchange", "lower", "engines"},
    "results": {
        "conversion", "diagnosis", "explorer", "measure", "modelling.nengo_reader", "network",
        "running", "study", "training",
    },
    "showing": _RUN | _CONVERT | {
        "records", "report", "simulator", "choosing", "choosing.rules", "diagnosis", "study",
    },
    "explorer": _RUN | _CONVERT | {
        "records", "choosing", "choosing.rules", "choosing.statistics",
        "diagnosis", "study", "showing", "simulator", "modelling",
        "modelling.nengo_reader", "modelling.nengo_simulator",
    },
    "testing": _MODEL | {"frontends", "conversion"},
    "cli": _RUN | _CONVERT | _RULES | {
        "", "records", "report", "running.encoders",
        "study", "diagnosis", "evaluation", "showing", "explorer", "training", "chips",
        "exchange.nir", "exchange.onnx", "quantising",
    },
    "__main__": {"cli"},
    "": {"_base"},
}  # fmt: skip
BASE = {"advice", "errors", "_base"}

# Packages whose files may import a framework at their top: they ask for it before anything else,
# so that its absence is a sentence, and nothing else imports them while it is being imported.
GATED = {
    "spikewright.engines.torch": "torch",
    "spikewright.frontends.pytorch": "torch",
    "spikewright.exchange.onnx": "onnx",
    "spikewright.explorer.serving": "starlette",
    "spikewright.sources.keras": "keras",
    "spikewright.sources.torch": "torch",
    "spikewright.training.gradients": "torch",
}

# Imports of the project inside functions, each with its reason.
LATE = {
    ("engines/__init__.py", "spikewright.engines.torch"): "the engine imports torch",
    ("engines/__init__.py", "spikewright.engines.native.engine"): "it may not have been built",
    ("showing/doctor.py", "spikewright.engines.native.engine"): "the same",
    ("training/gradients/spiking.py", "spikewright.engines.native.integrate_sequence"): "the same",
    ("frontends/keras/loading.py", "spikewright.sources.keras"): "it imports keras",
    ("training/training.py", "spikewright.training.gradients"): "it imports torch",
    ("training/module.py", "spikewright.training.gradients.bptt"): "the same",
    ("explorer/explore.py", "spikewright.explorer.serving"): "it imports starlette",
    ("cli/convert.py", "spikewright.exchange.onnx"): "it imports onnx",
    ("cli/convert.py", "spikewright.exchange.onnx.saving"): "the same",
    ("measure/run.py", "spikewright.report.figures"): "notebooks alone draw it",
    ("measure/evaluation.py", "spikewright.report.figures"): "the same",
    ("measure/evaluation.py", "spikewright.report.printed"): "what is printed needs it alone",
}
# Modules that may compute the name of what they import, each with its reason.
COMPUTED = {
    "__init__.py": "a table of names says where each is imported from when it is asked for",
    "_base/optional.py": "it is what imports optional packages",
    "showing/doctor.py": "it tries them all",
    "frontends/__init__.py": "each front end's framework is imported only when it is needed",
    "frontends/live.py": "the same",
    "frontends/provenance.py": "the same",
}


@dataclass(frozen=True)
class Import:
    """One import of `module`: in which file, at the module's level or inside a function."""

    file: str
    module: str
    line: int
    at_top: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def _files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def _name(path: Path) -> str:
    """Dotted name of a file's module."""
    parts = (PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in _files()}


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _statements(node: ast.AST, at_top: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Everything in a tree that runs, and whether it does so when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if not _is_type_checking(child):
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield child, at_top
            yield from _statements(child, at_top and not inside)


def _requests(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Every module that a call of `require` or `import_module` names; "?" if it is computed."""
    statements = list(_statements(ast.parse(path.read_text())))
    functions = {"import_module", "__import__"} | {
        alias.asname or alias.name
        for node, _ in statements
        if isinstance(node, ast.ImportFrom) and node.module == f"{PACKAGE}._base.optional"
        for alias in node.names
    }
    for node, at_top in statements:
        if isinstance(node, ast.Call) and node.args:
            first = node.args[0]
            if ast.unparse(node.func).rpartition(".")[2] in functions:
                name = str(first.value) if isinstance(first, ast.Constant) else "?"
                yield name, node.lineno, at_top


def _targets(node: ast.AST) -> list[str]:
    """Modules that a statement imports; names imported from a package count if they are modules."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        return [
            full if (full := f"{base}.{alias.name}") in MODULES else base for alias in node.names
        ]
    return []


def _imports(path: Path) -> list[Import]:
    tree = ast.parse(path.read_text())
    file = path.relative_to(ROOT).as_posix()
    return [
        Import(file, module, getattr(node, "lineno", 0), at_top)
        for node, at_top in _statements(tree)
        for module in _targets(node)
    ]


def _unit(module: str) -> str:
    """The row of the table that a module belongs to: the longest name that it begins with."""
    parts = module.split(".")[1:]
    names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((name for name in names if name in MAY_IMPORT), ".".join(parts[:1]))


@cache
def _all_imports() -> list[Import]:
    """Those of every file; found where a test asks, and not wherever tests are collected."""
    return [found for path in _files() for found in _imports(path)]


@cache
def _own_imports() -> list[Import]:
    """Those of modules of the package."""
    return [found for found in _all_imports() if found.module.split(".")[0] == PACKAGE]


def _owner(found: Import) -> str:
    return _name(ROOT / found.file)


def _base(unit: str) -> set[str]:
    """What a unit may import beside its row."""
    return set() if unit in BASE else BASE


def test_no_two_test_files_have_one_name() -> None:
    """The folders of tests are no packages, so their files are known by their names alone."""
    names = Counter(path.name for path in Path(__file__).parent.rglob("*.py"))

    assert {name for name, count in names.items() if count > 1} <= {"conftest.py"}


def test_there_is_something_to_check() -> None:
    """The walk below finds files and imports of every sort."""
    assert len(MODULES) > 20
    assert any(found.at_top for found in _own_imports())
    assert any(not found.at_top for found in _all_imports())


def test_every_unit_has_a_row_in_the_table() -> None:
    """A new package says where it stands before it is used."""
    rowless = sorted({_unit(module) for module in MODULES} - set(MAY_IMPORT))

    assert not rowless, f"add rows for {rowless} to MAY_IMPORT"


def test_imports_point_one_way() -> None:
    """A unit imports itself and what its row of the table allows."""
    wrong = [
        str(found)
        for found in _own_imports()
        if (unit := _unit(_owner(found))) in MAY_IMPORT
        and _unit(found.module) not in MAY_IMPORT[unit] | {unit} | _base(unit)
    ]

    assert wrong == []


def test_no_file_imports_in_a_circle() -> None:
    """Files can be read one after the other, each after those that it imports."""
    edges: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in _own_imports():
        if found.at_top and found.module in MODULES:
            edges[_owner(found)].add(found.module)

    list(graphlib.TopologicalSorter(edges).static_order())  # raises CycleError with the circle


def _for_types(path: Path) -> Iterator[str]:
    """Modules that a file imports for type checkers alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if _is_type_checking(node):
            yield from (module for inner in ast.walk(node) for module in _targets(inner))


def _in_circles(edges: dict[str, set[str]]) -> set[str]:
    """The modules that lead back to themselves."""
    reached = {module: set(targets) for module, targets in edges.items()}
    for between in reached:
        for targets in reached.values():
            if between in targets:
                targets |= reached[between]
    return {module for module, targets in reached.items() if module in targets}


def test_no_file_needs_the_types_of_one_that_imports_it() -> None:
    """Imports for type checkers count too; the parts of `network` speak of each other."""
    edges = {
        module: {target for target in _for_types(path) if target in MODULES}
        for module, path in MODULES.items()
    }
    assert edges["spikewright.network.network"], "no import for type checkers was found"
    for found in _own_imports():
        if found.module in MODULES:
            edges[_owner(found)].add(found.module)

    assert [name for name in sorted(_in_circles(edges)) if _unit(name) != "network"] == []


def test_nothing_imports_the_package_root() -> None:
    """The root imports everything, so nothing below may import the root."""
    assert [str(found) for found in _own_imports() if found.module == PACKAGE] == []


def test_front_ends_do_not_know_each_other() -> None:
    """One framework a package: they share what is in files beside them, and nothing else."""
    shared = (
        "calling", "examples", "fallback", "mixing", "outputs", "preserving", "reading", "source",
        "unrolling",
    )  # fmt: skip
    inside = [f for f in _own_imports() if f.module.startswith("spikewright.frontends.")]
    wrong = [
        str(found)
        for found in inside
        if _owner(found).startswith("spikewright.frontends.")
        and found.module.split(".")[2] not in (*shared, _owner(found).split(".")[2])
    ]

    assert wrong == []


def test_imports_inside_functions_have_a_reason() -> None:
    """A late import of the project's own hides a circle, unless a reason is listed."""
    late = {(found.file, found.module): found for found in _own_imports() if not found.at_top}

    assert [str(found) for key, found in late.items() if key not in LATE] == []
    assert [key for key in LATE if key not in late and (ROOT / key[0]).exists()] == []


def _gate(module: str) -> str | None:
    """The gated package that a module belongs to, if any."""
    return next((g for g in GATED if module == g or module.startswith(f"{g}.")), None)


def test_frameworks_are_imported_late_and_by_request() -> None:
    """No optional package is imported by an import statement, except behind a gate."""
    wrong = [
        str(found)
        for found in _all_imports()
        if (top := found.module.split(".")[0]) in FRAMEWORKS
        and top != GATED.get(_gate(_owner(found)) or "")
    ]

    assert wrong == [], "use spikewright._base.optional.require inside the function that needs it"


def test_frameworks_are_not_requested_while_importing() -> None:
    """`require` and `import_module` are called in functions; computed names are listed."""
    wrong = []
    for module, path in MODULES.items():
        file = path.relative_to(ROOT).as_posix()
        for wanted, line, at_top in _requests(path):
            computed = wanted == "?" or wanted.split(".")[0] == PACKAGE
            early = at_top and GATED.get(module) != wanted
            if early or (computed and file not in COMPUTED):
                wrong.append(f"{file}:{line} requests {wanted}")

    assert wrong == []


@pytest.mark.parametrize("gate", [gate for gate in GATED if gate in MODULES])
def test_a_gated_package_asks_first(gate: str) -> None:
    """It requires the framework before that and its own files, and nobody imports it early."""
    asked = [line for name, line, at_top in _requests(MODULES[gate]) if at_top]
    own = [
        f.line
        for f in _all_imports()
        if _owner(f) == gate
        and (f.module.startswith(f"{gate}.") or f.module.split(".")[0] == GATED[gate])
    ]
    early = [
        f
        for f in _own_imports()
        if f.at_top and _gate(f.module) == gate and GATED.get(_gate(_owner(f)) or "") != GATED[gate]
    ]

    assert asked
    assert min(asked) < min(own)
    assert [str(found) for found in early] == []


def _fresh(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_loads_no_framework() -> None:
    """All public names, in a fresh interpreter, leave every optional package alone."""
    loaded = _fresh("from spikewright import *; import sys; print(*sys.modules)").split()

    assert "spikewright.graph" in loaded
    assert FRAMEWORKS & {name.split(".")[0] for name in loaded} == set()


def test_importing_is_quick() -> None:
    """`import spikewright` takes less than 0.3 s: processor time, median of five."""
    clock = "import time; t = time.process_time(); import spikewright; print(time.process_time()-t)"
    seconds = []
    for _ in range(4):  # a busy machine gets more than one chance
        seconds.append(median(float(_fresh(clock)) for _ in range(5)))
        if seconds[-1] < 0.3:
            return

    pytest.fail(f"medians in seconds: {seconds}")
