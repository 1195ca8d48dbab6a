"""`mien demo`: the page on which a served model is tried."""

from collections.abc import Callable, Mapping
from typing import Any


def show_page(
    manifest: Mapping[str, Any],
    url: str,
    *,
    host: str,
    port: int,
    tell: Callable[[str], None],
) -> None:
    """Serves the demo page until Ctrl-C.

    Args:
        manifest: of the served model.
        url: the model server's REST address.
        host: the address to listen on.
        port: the page's.
        tell: is told once where the page is.
    """
    from aiohttp import web

    from deploy.demo.app import application

    where = f"http://{host}:{port}"
    web.run_app(
        application(manifest, url),
        host=host,
        port=port,
        print=lambda *_: tell(f"demo of {manifest['model']}: {where} (Ctrl-C ends it)"),
        access_log=None,
    )
