"""`shoal up`: the node, its HTTP API, and the page to talk in."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import asyncio
import contextlib
import logging
import webbrowser
from typing import TYPE_CHECKING, Any

import click

from shoal.cli.common import (
    Exit,
    emit,
    json_option,
    loading,
    log_to_stderr,
    runs_async,
    verbose_option,
)
from shoal.cli.home import LOOK, PATIENCE, home_option, show_qr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.node.config import NodeConfig
    from shoal.node.driver.home import Home
    from shoal.node.driver.node import Node
    from shoal.web import Front, WebServer


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="TCP port on loopback; without it 7420, or any if that is taken.",
)
@click.option("--no-browser", is_flag=True, help="Only print the link; open no browser.")
@home_option
@json_option
@verbose_option
@runs_async
async def up(
    port: int | None, home: str | None, *, no_browser: bool, as_json: bool, verbose: bool
) -> int:
    """Run your node with its page, and open it in the browser, until Ctrl-C or SIGTERM.

    The link works once, within ten minutes, on this machine. Where a node with a page runs in this
    home already, a new link to it is printed, and this ends.
    """
    from shoal.cli.node import stop_event
    from shoal.node.config import NodeConfig
    from shoal.node.driver.home import Home

    log_to_stderr(logging.DEBUG if verbose else logging.WARNING)
    place = Home(home)
    place.prepare()
    if (running := await _own(place)) is not None:
        _tell(running, as_json=as_json)
        if not no_browser:
            await asyncio.to_thread(_open, running["link"])
        return Exit.OK
    stop = stop_event()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(place.unlock)
        with loading():
            config = NodeConfig.load(place.path)
            front = await stack.enter_async_context(_front(place, port))
            links = {"url": front.url, "link": front.new_link()}
            if not as_json:
                _tell(links)
            if not no_browser:
                asyncio.get_running_loop().run_in_executor(None, _open, links["link"])
            node = await _start(stack, place, config, front)
        if as_json:
            _tell(links, as_json=True, home=str(node.home))
        await stop.wait()
        if not as_json:
            click.echo("stopping", err=True)
    if as_json:
        emit("stopped")
    return Exit.OK


async def _own(place: Home) -> Mapping[str, Any] | None:
    """Own the home; or return a link to the page of the node that does, which may just be loaded.

    Raises:
        NoRunningNodeError: a command has the home, keeps it, and is no node.
    """
    from shoal.node.errors import HomeTakenError, NoRunningNodeError, UnknownMethodError

    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            place.lock()
        except HomeTakenError as taken:
            try:
                return await _running(place)
            except UnknownMethodError:
                which = "a node" if taken.pid is None else f"process {taken.pid}"
                raise click.ClickException(
                    f"{which} runs this home without a page: stop it, then shoal up again"
                ) from None
            except NoRunningNodeError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(LOOK)
        else:
            return None


def _front(place: Home, port: int | None) -> Front:
    """Return what listens, and serves the page while the node is loaded."""
    try:
        from shoal.web import Front, WebConfig
    except ModuleNotFoundError as error:
        raise click.ClickException(f"up needs {error.name}: pip install 'shoal[web]'") from error
    return Front(place.path, WebConfig() if port is None else WebConfig(port, is_port_fixed=True))


async def _start(
    stack: contextlib.AsyncExitStack, place: Home, config: NodeConfig, front: Front
) -> Node:
    """Load the node while the page is served, start it, and let it answer."""
    node_type, server_type = await asyncio.to_thread(_load)
    node = await stack.enter_async_context(node_type(place, config=config))
    await stack.enter_async_context(server_type(node, front=front))
    return node


def _load() -> tuple[type[Node], type[WebServer]]:
    from shoal.node.driver.node import Node
    from shoal.web.server import WebServer

    return Node, WebServer


async def _running(place: Home) -> Mapping[str, Any]:
    """Return a link to the page of the node that runs already.

    Raises:
        NoRunningNodeError: a command has the home, and no node.
        UnknownMethodError: that node has no page.
    """
    from shoal.node.driver.api.client import SocketClient

    client = SocketClient(place.api_socket)
    await client.open()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        found: Mapping[str, Any] = await client.call("web.link")
        return found


def _tell(links: Mapping[str, Any], *, as_json: bool = False, **more: str) -> None:
    if as_json:
        emit("up", **links, **more)
        return
    click.echo(f"Shoal is at {links['url']}. Open it once by this link:\n\n  {links['link']}\n")
    show_qr(links["link"])


def _open(link: str) -> None:
    """Open the link in a browser, if there is one; a terminal's own browser is none."""
    with contextlib.suppress(webbrowser.Error, OSError):
        browser = webbrowser.get()
        if not isinstance(browser, webbrowser.GenericBrowser) or isinstance(
            browser, webbrowser.BackgroundBrowser
        ):
            browser.open(link)
