"""Play new seeds: `python -m tests.sim.play [--count N] [--world NAME]… [--seed S]`.

Prints one line per run, and for a failure the line for `seeds.txt`. Exits with 1 if any failed.
"""

from __future__ import annotations

import secrets
import sys
import traceback

import click

from tests.sim.worlds import WORLDS


@click.command()
@click.option("--count", default=10, show_default=True, help="Seeds per world.")
@click.option(
    "--world", "worlds", multiple=True, type=click.Choice(list(WORLDS)), help="Only this."
)
@click.option("--seed", type=int, help="Replay this seed instead of drawing new ones.")
def play(count: int, worlds: tuple[str, ...], seed: int | None) -> None:
    """Look for seeds that break a promise."""
    failed = []
    for name in worlds or tuple(WORLDS):
        for one in [seed] if seed is not None else [secrets.randbelow(2**32) for _ in range(count)]:
            verdict = "holds"
            try:
                WORLDS[name](one)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                traceback.print_exc()
                failed.append(f"{name} {one}  # {type(error).__name__}: {error}")
                verdict = "failed"
            click.echo(f"{name} {one} {verdict}")
    for line in failed:
        click.echo(line)
    sys.exit(bool(failed))


if __name__ == "__main__":
    play()
