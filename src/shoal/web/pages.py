"""Our page: files of this package, read once, served as they are."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from importlib import resources
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from shoal.core.records import dataclass
from shoal.web.errors import NoSuchPageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    from starlette.requests import Request

INDEX: Final = "index.html"
_INLINE: Final = re.compile(rb'<script type="importmap">(.*?)</script>', re.DOTALL)
_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A file, its type, and a mark that changes with it."""

    data: bytes
    kind: str
    tag: str


@functools.cache
def pages() -> Mapping[str, Page]:
    """Return all files by their path below `static`."""
    found: dict[str, Page] = {}
    _collect(resources.files("shoal.web") / "static", "", found)
    return found


@functools.cache
def script_hashes() -> str:
    """Return what the policy needs to let the one script in our page through: a map of imports."""
    inline = _INLINE.findall(pages()[INDEX].data)
    digests = (base64.b64encode(hashlib.sha256(each).digest()).decode() for each in inline)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


async def page(request: Request) -> Response:
    """Answer with a file.

    Raises:
        NoSuchPageError: there is none.
    """
    name = request.path_params.get("path", INDEX)
    found = pages().get(name)
    if found is None:
        raise NoSuchPageError(f"no page {name[:80]!r}")
    headers = {"etag": found.tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == found.tag:
        return Response(status_code=304, headers=headers)
    return Response(found.data, headers=headers, media_type=found.kind)


def _collect(folder: Traversable, prefix: str, found: dict[str, Page]) -> None:
    for each in folder.iterdir():
        name = f"{prefix}{each.name}"
        suffix = f".{each.name.rpartition('.')[2]}"
        if each.is_dir():
            _collect(each, f"{name}/", found)
        elif suffix in _KINDS:
            data = each.read_bytes()
            found[name] = Page(data, _KINDS[suffix], f'"{hashlib.sha256(data).hexdigest()[:32]}"')
