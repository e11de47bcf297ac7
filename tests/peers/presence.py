"""Whether the real peers are on this machine, and what a test does when one is not.

The environment variable `SHOAL_PEERS` decides: `auto` (the default) skips with the reason,
`required` fails, `none` skips everything that needs a real peer.
"""

from __future__ import annotations

import enum
import functools
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

JAMID_PATH: Final = Path("/usr/libexec/jamid")  # Debian's jami-daemon package
LIBJAMI_FOLDER: Final = (  # as tools/install-libjami has it
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shoal/peers/libjami-0.5.2"
)
ANVIL_PATH: Final = LIBJAMI_FOLDER.parent / "anvil-1.7.1" / "anvil"  # as tools/install-anvil has it
AXE_PATH: Final = LIBJAMI_FOLDER.parent / "axe-4.14.1" / "axe.min.js"  # as tools/install-axe has it
CONTRACTS_VENV: Final = (  # as tools/compile-contracts has it
    Path(__file__).parents[2] / ".venv" / "contracts"
)
VARIABLE: Final = "SHOAL_PEERS"
_SYSTEM_PATH: Final = "/usr/sbin:/sbin"  # not on every user's path


class Policy(enum.Enum):
    """What happens to a test whose peer is absent."""

    AUTO = "auto"
    REQUIRED = "required"
    NONE = "none"


class Need(enum.Enum):
    """Something of the outside world that a test wants."""

    DHTNODE = "dhtnode"
    OPENDHT = "opendht"
    JAMID = "jamid"
    LIBJAMI = "libjami"
    COTURN = "coturn"
    MINIUPNPD = "miniupnpd"
    NFT = "nft"
    NAMESPACES = "namespaces"
    ANVIL = "anvil"
    VYPER = "vyper"
    CHROMIUM = "chromium"
    AXE = "axe-core"


_PROGRAMS: Final = {Need.COTURN: "turnserver"}  # where it is not the need's own name
_REMEDIES: Final = {
    Need.DHTNODE: "install Debian's package dhtnode",
    Need.OPENDHT: "install the wheel opendht 4.4.2",
    Need.JAMID: "install Debian's packages jami-daemon and dbus-daemon",
    Need.LIBJAMI: "run tools/install-libjami",
    Need.COTURN: "install Debian's package coturn",
    Need.MINIUPNPD: "install Debian's package miniupnpd",
    Need.ANVIL: "run tools/install-anvil",
    Need.VYPER: "run tools/compile-contracts --check",
    Need.NFT: "install Debian's package nftables",
    Need.CHROMIUM: "install Debian's package chromium",
    Need.AXE: "run tools/install-axe",
}


def policy() -> Policy:
    """Return what the environment asks for.

    Raises:
        pytest.UsageError: the variable holds an unknown word.
    """
    word = os.environ.get(VARIABLE, Policy.AUTO.value)
    try:
        return Policy(word)
    except ValueError:
        words = ", ".join(known.value for known in Policy)
        raise pytest.UsageError(f"{VARIABLE}={word!r}: use one of {words}") from None


@functools.cache
def missing(need: Need) -> str | None:
    """Say what is missing for *need* and how to get it; None when nothing is."""
    if need is Need.NAMESPACES:
        return _missing_namespaces()
    if need is Need.OPENDHT:
        is_here = importlib.util.find_spec("opendht") is not None
    elif need is Need.JAMID:
        is_here = JAMID_PATH.exists() and _has_program("dbus-daemon")
    elif need is Need.ANVIL:
        is_here = ANVIL_PATH.exists()
    elif need is Need.AXE:
        is_here = AXE_PATH.exists()
    elif need is Need.VYPER:
        is_here = (CONTRACTS_VENV / "installed").exists()
    elif need is Need.LIBJAMI:
        is_here = (LIBJAMI_FOLDER / "jamid.node").exists() and _has_program("node")
    else:
        is_here = _has_program(_PROGRAMS.get(need, need.value))
    return None if is_here else f"no {need.value}: {_REMEDIES[need]}"


def require(*needs: Need) -> None:
    """Skip or fail the running test, as the environment wishes, unless every need is met."""
    wanted = policy()
    if wanted is Policy.NONE:
        pytest.skip(f"{VARIABLE}=none")
    reasons = [reason for reason in map(missing, needs) if reason is not None]
    if not reasons:
        return
    text = "; ".join(reasons)
    if wanted is Policy.REQUIRED:
        pytest.fail(f"{VARIABLE}=required, but {text}", pytrace=False)
    pytest.skip(text)


def _has_program(name: str) -> bool:
    return shutil.which(name) is not None or shutil.which(name, path=_SYSTEM_PATH) is not None


def _missing_namespaces() -> str | None:
    if shutil.which("ip") is None:
        return "no network namespaces: install iproute2"
    if os.geteuid() != 0:
        return "no network namespaces: they need root"
    name = f"shoal-probe-{os.getpid()}"
    made = _ip("netns", "add", name)
    if made.returncode == 0:
        made = _ip("netns", "exec", name, "true")  # a chroot can make them, but not enter them
        _ip("netns", "del", name)
    if made.returncode != 0:
        return f"no network namespaces: {made.stderr.decode(errors='replace').strip()}"
    return None


def _ip(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = ["ip", *arguments]  # whichever there is, with our own words
    return subprocess.run(program, capture_output=True, check=False)  # noqa: S603 - see above
