"""`shoal completion`: what makes a shell complete commands and options."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from shoal.cli.common import Exit, emit, json_option, runs_async

SHELLS: Final = ("bash", "zsh", "fish")
VARIABLE: Final = "_SHOAL_COMPLETE"  # click: what its scripts call us with


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
@runs_async
async def completion(shell: str, *, as_json: bool) -> int:
    """Write the script that lets SHELL complete `shoal`.

    \b
    bash:  eval "$(shoal completion bash)"        in ~/.bashrc
    zsh:   eval "$(shoal completion zsh)"         in ~/.zshrc
    fish:  shoal completion fish | source         in ~/.config/fish/config.fish
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from shoal.cli.main import main  # noqa: PLC0415 - it names us

    kind = get_completion_class(shell)
    assert kind is not None, "click knows these shells"
    script = kind(main, {}, "shoal", VARIABLE).source()
    if as_json:
        emit("script", shell=shell, script=script)
    else:
        click.echo(script)
    return Exit.OK
