"""What the core may import, how long a file may be, and what a wheel may install."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
CORE = SRC / "stompcore"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

BANNED = frozenset(
    {
        "anyio",
        "asyncio",
        "logging",
        "os",
        "random",
        "secrets",
        "socket",
        "ssl",
        "threading",
        "time",
        "trio",
        "uuid",
    }
)
# What their third parties load is not the core's doing; the ban on direct imports covers both.
THIRD_PARTY = frozenset({"stompcore.pyjwt", "stompcore.websocket"})
MAX_LINES = 550


def core_modules() -> dict[str, Path]:
    # Found on disk, because walking packages would import them.
    modules = {}
    for path in sorted(CORE.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        modules[".".join(p for p in parts if p != "__init__")] = path
    return modules


MODULES = core_modules()


@cache
def loaded_after(imports: str) -> frozenset[str]:
    # Without `site`, an editable install's hooks and a coverage run load nothing behind our back.
    script = f"import sys; sys.path[:0] = sys.argv[1:]\n{imports}\nprint(*sys.modules)"
    site = [entry for entry in sys.path if entry.endswith("site-packages")]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(SRC), *site],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return frozenset(done.stdout.split())


def imported_names(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def test_there_is_a_core_to_check() -> None:
    assert "stompcore" in MODULES
    assert len(MODULES) > 1


@pytest.mark.parametrize("module", sorted(MODULES.keys() - THIRD_PARTY))
def test_a_fresh_interpreter_loads_nothing_impure(module: str) -> None:
    baseline = loaded_after("import collections.abc, dataclasses, enum, re, typing")
    gained = loaded_after(f"import {module}") - baseline
    assert not {name for name in gained if name.partition(".")[0] in BANNED}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_direct_import_of_an_impure_module(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    assert not {name for name in imported_names(tree) if name.partition(".")[0] in BANNED}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_environment_is_not_read(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not attributes & {"environ", "environb", "getenv", "getenvb"}


def test_no_source_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in SRC.rglob("*.py")
    }
    assert not {name: count for name, count in lengths.items() if count > MAX_LINES}


def test_imports_keep_to_the_layers() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def declared_packages() -> set[str]:
    return set(PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


def test_every_package_is_declared() -> None:
    found = {
        str(path.parent.relative_to(ROOT).as_posix())
        for pattern in ("*/__init__.py", "adapters/*/__init__.py")
        for path in SRC.glob(pattern)
    }
    assert found == declared_packages()


def test_the_wheel_installs_our_names_and_no_other(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT],
        capture_output=True,
        timeout=25,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        top_level = {name.partition("/")[0] for name in archive.namelist()}
    ours = {Path(package).name for package in declared_packages()}
    version = PYPROJECT["project"]["version"]
    assert top_level == ours | {f"stompcore-{version}.dist-info"}
    assert "adapters" not in top_level
