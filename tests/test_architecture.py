"""The house: imports run one way, and the command line starts without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import aligndiff_cli

PACKAGE = Path(aligndiff_cli.__file__).parent
MAY_IMPORT = {
    "cli": {"cli", "stages", "engine", "errors"},
    "stages": {"stages", "engine", "evaluation", "models", "datasets", "report", "method", "disk", "errors"},
    "engine": {"engine", "disk", "errors"},
    "evaluation": {"evaluation", "method", "disk", "errors"},
    "models": {"models", "method", "disk", "errors"},
    "datasets": {"datasets", "method", "disk", "errors"},
    "report": {"report", "method", "disk", "errors"},
    "method": {"method", "errors"},
    "disk": {"disk", "errors"},
    "errors": set(),
    # the recipe of the bundled models stands beside the stages and uses what they use
    "pocket": {"pocket", "evaluation", "models", "datasets", "report", "method", "disk", "errors"},
}
LEAVES = {"labels", "table"}
"""Values that anyone may use; they import nothing of ours."""
ONLY_IN_MODELS = {"diffusers", "transformers", "huggingface_hub"}


def imports(path: Path) -> set[str]:
    """Modules a file imports, anywhere in it, as dotted names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_one_way(path: Path) -> None:
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("aligndiff_cli.")} - {"__version__"}
    assert ours - LEAVES <= MAY_IMPORT[part_of(path)]


@pytest.mark.parametrize("leaf", sorted(LEAVES))
def test_leaves_import_nothing_of_ours(leaf: str) -> None:
    assert not any(name.startswith("aligndiff_cli") for name in imports(PACKAGE / f"{leaf}.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_models_knows_diffusers_and_transformers(path: Path) -> None:
    if part_of(path) not in ("models", "pocket"):
        assert not {name.split(".")[0] for name in imports(path)} & ONLY_IN_MODELS


COMMANDS = ["", "prepare", "invert", "generate", "mask", "compose", "evaluate", "evaluate gfss", "export", "status"]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_no_torch(command: str) -> None:
    program = (
        "import sys; sys.argv = ['aligndiff'] + sys.argv[1:]\n"
        "from aligndiff_cli.cli.main import app\n"
        "try:\n    app()\nexcept SystemExit as done:\n    assert not done.code\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'numpy', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    arguments = [*command.split(), "--help"]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: aligndiff" in done.stdout
