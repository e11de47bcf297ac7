"""`shoal doctor`."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import asyncio
import getpass
import logging
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shoal.cli.common import Exit, counted, emit, json_option, log_to_stderr, runs_async
from shoal.cli.home import home_option, printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

    from shoal.cli.doctor.findings import Finding


@click.command()
@click.option(
    "--share",
    metavar="FILE",
    help="Write a report without addresses, ids and names, to show to those who help; - is stdout.",
)
@home_option
@json_option
@runs_async
async def doctor(home: str | None, share: str | None, *, as_json: bool) -> int:
    """Look whether this machine reaches others, and they it; say what to do about the rest.

    UDP, IPv6, the router and whether it forwards ports, the DHT in both directions, clock, TURN,
    name server, disk: by the settings of the home. It takes up to half a minute, and disturbs no
    node that runs.

    Exit status: 0, or 1 if something failed.
    """
    from shoal.cli.doctor.checks import Doctor
    from shoal.cli.doctor.findings import Verdict
    from shoal.node import NodeConfig, home_path

    log_to_stderr(logging.ERROR)  # what others warn of, the findings say
    place = home_path(home)
    checks = Doctor(NodeConfig.load(place), place)
    found: list[Finding] = []
    work = (
        *(checks.udp(), checks.ipv6(), checks.nat(), checks.mapping(), checks.dht()),
        *(checks.clock(), checks.turn(), checks.names(), checks.disk()),
    )
    async for finding in _in_order(work):
        found.append(finding)
        if as_json:
            emit("finding", **finding.to_json())
        elif share != "-":
            click.echo(printable(finding.line))
    if share is not None:
        _share(found, place, share)
    failed = sum(each.verdict is Verdict.FAILED for each in found)
    if failed and not as_json:
        click.echo(f"error: {counted(failed, 'thing')} failed", err=True)
    return Exit.FAILED if failed else Exit.OK


async def _in_order(
    work: Sequence[Coroutine[None, None, Finding | list[Finding]]],
) -> AsyncIterator[Finding]:
    """Do all at once, and yield what each has found as soon as those before it have, too."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        for task in tasks:
            found = await task
            for finding in found if isinstance(found, list) else [found]:
                yield finding
    finally:
        for task in tasks:
            task.cancel()


def _share(found: Sequence[Finding], home: Path, path: str) -> None:
    """Write the report.

    Raises:
        UsageError: it cannot be written.
    """
    from shoal.cli.doctor.findings import Redactor, report

    secrets = {
        str(home): "[home]",
        str(Path.home()): "[user's home]",
        platform.node(): "[host]",
        getpass.getuser(): "[user]",
    }
    facts = {
        "Shoal": version("shoal"),
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    text = report(found, facts, Redactor(secrets))
    if path == "-":
        click.echo(text, nl=False)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {error.strerror}") from error
    click.echo(f"written to {path}; look at it before you show it to anybody", file=sys.stderr)
