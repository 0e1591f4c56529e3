"""Who imports whom, held for every module, and what an import costs."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import collectfasta

ROOT = Path(collectfasta.__file__).parent
COMMAND = "collectfasta.management.commands.collectstatic"
SDKS = (
    "azure",
    "boto3",
    "botocore",
    "google.api_core",
    "google.auth",
    "google.cloud.storage",
    "obstore",
    "requests",
    "tqdm",
)

# A room is a folder or a top-level file. Each may import those of lower ranks, and what is in its
# own folder. Rooms of one rank don't know each other.
RANKS = [
    {"errors", "executor", "files", "patching", "settings"},
    {"checksums", "terminal"},
    {"source"},
    {"remote"},
    {"checksum_cache", "stores"},
    {"strategies"},
    {"cache", "options"},
    {"checks", "deploy"},
    {"management"},
    {"apps"},
]
# A leaf: it knows nothing of deploys.
ALLOWED = {"terminal": {"errors", "settings", "terminal"}}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {name_of(path): path for path in ROOT.rglob("*.py")}


def imported_names(name: str, path: Path) -> Iterator[str]:
    """Yield each name that a module imports anywhere, also within functions and for types."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str | None:
    """Return the module of this package that a name is, or is in; None if it is in no such."""
    while name and name not in modules():
        name = name.rpartition(".")[0]
    return name or None


@cache
def graph() -> dict[str, set[str]]:
    """Return the modules that each module imports."""
    found = {}
    for name, path in modules().items():
        imported = {module_of(each) for each in imported_names(name, path)}
        found[name] = {each for each in imported if each} - {name}
    return found


def room_of(module: str) -> str:
    """Return the room of a module; empty for the package itself, which has the version alone."""
    return f"{module}.".split(".")[1]


def rooms() -> dict[str, set[str]]:
    """Return the rooms that each room imports."""
    found: dict[str, set[str]] = {}
    for module, imported in graph().items():
        found.setdefault(room_of(module), set()).update(map(room_of, imported))
    return {room: needed - {room, ""} for room, needed in found.items() if room}


def longest_chain(needed: Mapping[str, set[str]]) -> list[str]:
    chains: dict[str, list[str]] = {}
    for each in TopologicalSorter(needed).static_order():
        below = [chains[other] for other in needed.get(each, ())]
        chains[each] = [each, *max(below, key=len, default=[])]
    return max(chains.values(), key=len)


def test_every_module_imports_only_what_ranks_below_it() -> None:
    ranks = {room: rank for rank, names in enumerate(RANKS) for room in names}
    assert set(ranks) == set(rooms()), "A room without a rank, or a rank without its room."
    wrong = []
    for module, imported in graph().items():
        room = room_of(module)
        for other in filter(None, map(room_of, imported)):
            is_allowed = other in ALLOWED.get(room, ranks)
            if other != room and not (is_allowed and ranks[other] < ranks[room]):
                wrong.append(f"{module} imports {other}")
    assert wrong == []
    # Else none of this could fail.
    assert {"deploy", "strategies", "terminal"} <= rooms()["management"] | rooms()["deploy"]
    assert "collectfasta.checksums" in graph()["collectfasta.remote"]


def test_no_module_needs_itself() -> None:
    # static_order() raises a CycleError that names the modules.
    assert set(TopologicalSorter(graph()).static_order()) == set(modules())


def test_no_more_than_eight_rooms_stand_on_each_other() -> None:
    chain = longest_chain(rooms())
    assert len(chain) <= 8, " > ".join(chain)


def test_a_folder_has_few_modules_and_no_family_of_names() -> None:
    wrong = []
    for folder in {path.parent for path in modules().values()}:
        names = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
        prefixes = Counter(name.partition("_")[0] for name in names)
        if len(names) > 12 and folder != ROOT:
            wrong.append(f"{folder.name} has {len(names)} modules")
        wrong += [f"{folder.name}/{each}_*" for each, number in prefixes.items() if number > 2]
    assert wrong == []


def modules_after(*statements: str, **environment: str) -> set[str]:
    """Return what is imported in a new interpreter after some statements."""
    code = "\n".join([*statements, "import json, sys", "print(json.dumps(list(sys.modules)))"])
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return set(json.loads(process.stdout.splitlines()[-1]))


def test_an_installed_app_and_the_help_of_its_command_import_no_sdk() -> None:
    imported = modules_after(
        "import django",
        "django.setup()",
        "import collectfasta.apps, collectfasta.checks, collectfasta.strategies",
        "from django.core.management import ManagementUtility",
        "try: ManagementUtility(['manage.py', 'collectstatic', '--help']).execute()",
        "except SystemExit: pass",
        DJANGO_SETTINGS_MODULE="tests.settings",
    )
    assert COMMAND in imported
    assert not [name for name in imported if f"{name}.".startswith(tuple(f"{s}." for s in SDKS))]


def test_the_sdks_are_what_they_are_called_here() -> None:
    # Else the test above could not fail.
    imported = modules_after(
        *(f"import collectfasta.strategies.{cloud}" for cloud in ("azure", "boto3", "gcloud")),
        "import collectfasta.terminal.bars",
        DJANGO_SETTINGS_MODULE="tests.settings",
    )
    assert imported >= set(SDKS) - {"obstore"}


def test_an_import_reads_no_setting() -> None:
    # There are none to be read.
    imported = modules_after(
        "import collectfasta.apps, collectfasta.checks, collectfasta.strategies",
        "import collectfasta.strategies.filesystem, collectfasta.deploy.deploy",
        DJANGO_SETTINGS_MODULE="",
    )
    assert "collectfasta.deploy.commit" in imported
