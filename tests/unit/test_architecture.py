"""What the tree promises, beyond what ruff, mypy and lint-imports check."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "src" / "shoal"
MODULES: Final = sorted(SOURCE.rglob("*.py"))
CONTRACTS: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
MODULE_LINES_MAX: Final = 600  # past it a module has a second subject
FUNCTION_LINES_MAX: Final = 60  # past it a function hides a noun

# Rooms of hosts and presentation: they may touch the world.
HOSTS: Final = {"bot", "cli", "lab", "node", "sim", "testing", "web"}
# Modules that declare and do nothing, which other modules' tests exercise.
DECLARATIONS: Final = {
    *("__init__", "__main__", "backend", "config", "effects", "errors"),
}
# Large enough to have front doors of their own.
SUBROOMS: Final = {"shoal.net.ice", "shoal.net.turn"}
# Parts that make sense only together: the test that plays them is that of the whole.
TESTED_BY: Final = {
    "bot/message": "bot/test_work",
    "chain/evm": "chain/test_ledger",
    "chain/values": "chain/test_wire",
    "cli/chat/command": "cli/chat/test_talk",
    "cli/chat/plain": "cli/chat/test_talk",
    "cli/chat/screen": "cli/chat/test_talk",
    "cli/common": "cli/test_main",
    "cli/connect": "cli/test_contact",
    "cli/dht": "cli/test_main",
    "cli/home": "cli/test_running",
    "cli/lazy": "cli/test_main",
    "cli/ring": "cli/test_scan",
    "cli/stats": "cli/test_scan",
    "cli/statuses": "cli/test_main",
    "core/engine": "../engine_laws",
    "core/entropy": "sim/test_entropy",
    "dht/context": "dht/test_engine",
    "dht/proxy/client_context": "dht/proxy/test_engine",
    "dht/proxy/client_tasks": "dht/proxy/test_engine",
    "dht/proxy/following": "dht/proxy/test_engine",
    "dht/proxy/listens": "dht/proxy/test_engine",
    "dht/proxy/permanent_puts": "dht/proxy/test_server_engine",
    "dht/proxy/pusher": "dht/proxy/test_server_engine",
    "dht/proxy/reachability": "dht/proxy/test_engine",
    "dht/proxy/request_queue": "dht/proxy/test_engine",
    "dht/proxy/subscriptions": "dht/proxy/test_server_engine",
    "dht/secure/operations": "dht/secure/test_engine",
    "dht/secure/orders": "dht/secure/test_engine",
    "net/attempt": "net/test_engine",
    "net/establishing": "net/test_engine",
    "net/ice/checklist": "net/ice/test_engine",
    "net/ice/context": "net/ice/test_engine",
    "net/ice/paths": "net/ice/test_engine",
    "net/ice/probe": "net/ice/test_engine",
    "net/ice/relay": "net/ice/test_nat_table",
    "net/mapping/routers": "net/mapping/test_engine",
    "net/peer": "net/test_engine",
    "net/registry": "net/test_engine",
    "net/session": "net/test_engine",
    "net/tls/filter": "net/tls/test_driver",
    "net/trace": "net/test_engine",
    "net/turn/authentication": "net/turn/test_client",
    "names/answers": "names/test_engine",
    "sim/hosts": "sim/test_network",
    "sim/ice": "net/ice/test_nat_table",
    "transfer/download": "transfer/test_engine",
    "swarm/cloning": "swarm/test_engine",
    "swarm/context": "swarm/test_engine",
    "swarm/driver/first": "swarm/driver/test_index_ledger",
    "node/driver/api/history": "node/driver/test_reading",
    "swarm/driver/index": "swarm/driver/test_index_ledger",
    "swarm/driver/index_questions": "swarm/driver/test_index_ledger",
    "swarm/inviting": "../sim/test_swarm",
    "swarm/ledger": "swarm/driver/test_index_ledger",
    "swarm/opening": "swarm/test_engine",
    "swarm/session": "swarm/test_engine",
    "swarm/view": "swarm/test_engine",
    "testing/users": "testing/test_network",
    "web/answers": "web/test_methods",
    "web/application": "web/test_methods",
    "web/callers": "web/test_methods",
    "web/endpoints": "web/test_methods",
    "web/jami_shapes": "web/test_jami_routes",
    "web/protocol": "web/test_server",
}


def name_of(path: Path) -> str:
    """Return a short name of the module at *path*."""
    return path.relative_to(SOURCE).with_suffix("").as_posix()


def is_driver(path: Path) -> bool:
    """Tell whether the module may see the outside world."""
    return "driver" in path.relative_to(SOURCE).with_suffix("").parts


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method of the module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_have_one_subject(path: Path) -> None:
    """No module outgrows its subject."""
    assert len(path.read_text().splitlines()) <= MODULE_LINES_MAX


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_fit_a_screen(path: Path) -> None:
    """No function is longer than a reader can see at once."""
    lengths = {each.name: lines_of(each) for each in functions(path)}
    too_long = {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX}

    assert too_long == {}


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of the body, without a docstring, which may well be long."""
    lines = (function.end_lineno or 0) - function.body[0].lineno + 1
    return lines - len((ast.get_docstring(function, clean=False) or "").splitlines())


def test_every_room_has_its_place() -> None:
    """Each package stands in the layers, and is held to purity unless it hosts engines."""
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    layers, purity = CONTRACTS["contracts"][:2]
    placed = {name.strip(" ()") for layer in layers["layers"] for name in layer.split("|")}
    pure = {name.removeprefix("shoal.") for name in purity["source_modules"]}

    assert rooms <= placed
    assert rooms - HOSTS == pure


@pytest.mark.parametrize(
    "path",
    [each for each in MODULES if not is_driver(each) and each.stem not in DECLARATIONS],
    ids=name_of,
)
def test_each_module_has_its_own_test(path: Path) -> None:
    """`tests/unit` mirrors `src`: a stranger finds the test of a module by its name."""
    tests = ROOT / "tests" / "unit"
    own = sorted((tests / path.relative_to(SOURCE).parent).glob(f"test_{path.stem}*.py"))
    whole = TESTED_BY.get(name_of(path))

    assert own or whole, f"no test_{path.stem}.py in its folder"
    assert whole is None or (tests / f"{whole}.py").exists()


@pytest.mark.parametrize("path", [each for each in MODULES if not is_driver(each)], ids=name_of)
def test_every_constant_tells_its_origin(path: Path) -> None:
    """A number in an upper-case name says where it is from, beside it or once for its block."""
    lines = path.read_text().splitlines()
    silent = [
        f"line {node.lineno}: {node.target.id}"
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id.strip("_").isupper()
        and isinstance(node.value, ast.Constant | ast.BinOp)
        and not isinstance(getattr(node.value, "value", None), str | bytes)
        and not block_has_comment(lines, node.lineno - 1)
    ]

    assert silent == []


def block_has_comment(lines: list[str], index: int) -> bool:
    """Tell whether a comment stands in the lines around *index*, up to the next blank ones."""
    first = last = index
    while first > 0 and lines[first - 1].strip():
        first -= 1
    while last < len(lines) and lines[last].strip():
        last += 1
    return any("#" in line for line in lines[first:last])


@pytest.mark.parametrize(
    "front_door",
    ["shoal", "shoal.core", "shoal.chain", "shoal.crypto", "shoal.dht", "shoal.identity"],
)
def test_importing_an_engine_brings_no_driver(front_door: str) -> None:
    """The public asyncio classes come lazily: engines cost no event loop and no extras."""
    program = f"import sys, {front_door}; print(*sys.modules)"
    loaded = set(
        subprocess.run(  # noqa: S603 - our own interpreter and text
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.split()
    )

    heavy = {"asyncio", "httpx2", "matplotlib", "numpy", "prometheus_client", "rich", "starlette"}
    assert loaded & heavy == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_packages_meet_at_front_doors(path: Path) -> None:
    """Another room is imported as `shoal.dht`, never as `shoal.dht.search`; drivers have doors too.

    Errors, effects and drivers of a room are doors of their own: some are needed early, some heavy.
    The two lowest rooms are libraries, and each of their modules is a door. Imports inside
    functions are there for their weight, which a door would add to.
    """
    room = path.relative_to(SOURCE).parts[0]
    strays = [
        node.module
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom)
        and node.module is not None
        and node.module.startswith("shoal.")
        and node.module.split(".")[1] not in {room, "core", "crypto"}
        and len(node.module.split(".")) > 2
        and node.module not in SUBROOMS
        and not set(node.module.split(".")[2:]) & {"driver", "effects", "errors", "proxy"}
    ]

    assert strays == []
