"""`shoal chain`: begin, look, fund, deploy, on a chain of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from shoal.chain.genesis import Genesis
from shoal.chain.registry import GENESIS_ADDRESS
from shoal.cli import main
from shoal.cli.chain import _coins

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("pyrevm", reason="the embedded chain's virtual machine is not installed")


def shoal(*arguments: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, ["chain", *map(str, arguments)])


def told(*arguments: object) -> dict[str, Any]:
    """Run a command with --json and return what it says."""
    result = shoal(*arguments, "--json")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def test_from_init_to_deploy(tmp_path: Path) -> None:
    """A chain is made, a key funded, another registry deployed; all is shown."""
    data, key = tmp_path / "chain", tmp_path / "me.key"
    made = told("init", "--data", data, "--chain-id", 4242)
    assert (made["chain_id"], made["registry"]) == (4242, str(GENESIS_ADDRESS))
    genesis = Genesis.parse((data / "genesis.json").read_text())
    assert genesis.chain_id == 4242

    address = told("key", key)["address"]
    assert told("key", key)["address"] == address
    funded = told("fund", address, "--data", data, "--amount", "2.5")
    assert funded["balance_wei"] == str(25 * 10**17)
    deployed = told("deploy", "--data", data, "--key", key)
    assert deployed["registry"] != str(GENESIS_ADDRESS)
    at = ("--registry", deployed["registry"], "--account", address)
    status = told("status", "--data", data, *at)
    assert (status["registry"], status["chain_id"]) == (deployed["registry"], 4242)
    assert status["transactions"] == 1
    assert int(status["balance_wei"]) < 25 * 10**17


def test_in_words(tmp_path: Path) -> None:
    """The same for people."""
    data, key = tmp_path / "chain", tmp_path / "me.key"
    assert "registry" in shoal("init", "--data", data, "--base-fee", 0).output
    address = shoal("key", key).output.strip()
    assert shoal("fund", address, "--data", data, "--amount", "3").output.endswith("3 coins\n")
    assert "units of gas" in shoal("deploy", "--data", data, "--key", key).output
    assert "chain id" in shoal("status", "--data", data, "--account", address).output


def test_a_genesis_file_of_others(tmp_path: Path) -> None:
    """Without a registry, which the status says by its exit status."""
    path = tmp_path / "genesis.json"
    path.write_text(Genesis(chain_id=7, wall_time=0).to_json())
    made = told("init", "--data", tmp_path / "chain", "--genesis", path)
    assert (made["chain_id"], made["registry"]) == (7, None)
    assert shoal("status", "--data", tmp_path / "chain").exit_code == 1


def test_serving(tmp_path: Path) -> None:
    """A process of its own answers JSON-RPC until it is asked to end."""
    shoal("init", "--data", tmp_path / "chain", "--chain-id", 77)
    command = [sys.executable, "-m", "shoal", "chain", "serve", "--data", str(tmp_path / "chain")]
    with subprocess.Popen(  # noqa: S603 - our own program
        [*command, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        serving = json.loads(child.stdout.readline())
        status = told("status", "--chain", f"http://127.0.0.1:{serving['port']}")
        child.terminate()
        assert child.wait(20) == 143
    assert (serving["chain_id"], status["chain_id"]) == (77, 77)
    assert status["registry"] == str(GENESIS_ADDRESS)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("init", "--data", "{made}"), 1),
        (("init", "--data", "{new}", "--genesis", "{made}/faucet.key"), 5),
        (("init", "--data", "{new}", "--genesis", "{made}/genesis.json", "--base-fee", "1"), 2),
        (("status", "--data", "{new}"), 5),
        (("status", "--chain", "http://127.0.0.1:1", "--timeout", "30"), 3),
        (("status", "--data", "{made}", "--registry", "0x12"), 2),
        (("fund", "0x12", "--data", "{made}"), 2),
        (("fund", "11" * 20, "--data", "{made}", "--amount", "-1"), 2),
        (("fund", "11" * 20, "--data", "{made}", "--amount", "much"), 2),
        (("fund", "11" * 20, "--data", "{made}", "--amount", "1e30"), 4),
        (("fund", "11" * 20, "--chain", "http://127.0.0.1:1"), 2),
        (("deploy", "--data", "{made}", "--key", "{new}.key"), 5),
    ],
    ids=range(12),
)
def test_what_goes_wrong(tmp_path: Path, arguments: tuple[str, ...], status: int) -> None:
    """By the exit statuses that all commands have."""
    made = tmp_path / "made"
    shoal("init", "--data", made)
    result = shoal(*(each.format(made=made, new=tmp_path / "new") for each in arguments))

    assert result.exit_code == status, result.output


@pytest.mark.parametrize(
    ("wei", "words"),
    [(10**19, "10"), (10**21, "1,000"), (0, "0"), (15 * 10**17, "1.5"), (10**16, "0.01")],
)
def test_coins_are_counted_whole(wei: int, words: str) -> None:
    """Only what follows the point loses its zeros."""
    assert _coins(wei) == words
