"""The demo page's server: it finds the faces as in training and asks a model server about each.

Pictures are looked at in memory and nowhere kept.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from components.common.pictures.detectors import Box
from components.common.pictures.faces import FaceCrop
from components.common.pictures.picture_files import (
    UndecodableImageError,
    count_pixels,
    upright,
)
from components.common.recipe import parse_recipe
from deploy.client import ServerError, newest_version, predict
from deploy.pictures import NoFaceError, NoImageError, cut_faces, decode

MAX_PICTURE_BYTES = 16 * 2**20
"""Of a request: room for a photograph of a camera."""
MAX_PIXELS = 3 * 2**20
"""For which the hungriest detector, mtcnn, needs 1.7 GiB; the page scales a larger picture down."""

_STATIC = Path(__file__).parent / "static"
_HEADERS = {
    # Nothing from elsewhere, and nobody else's page around it.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob:; media-src 'self' blob:; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class TooManyPixelsError(ValueError):
    """A picture has more than MAX_PIXELS."""


def application(manifest: Mapping[str, Any], url: str) -> web.Application:
    """The page and the one question that it asks, `POST /faces` with a picture as the body.

    Args:
        manifest: of the served model: its name, its labels, its recipe.
        url: the model server's REST address.
    """
    app = web.Application(middlewares=[_headers], client_max_size=MAX_PICTURE_BYTES)
    one_at_a_time = ThreadPoolExecutor(max_workers=1)  # There is memory for one picture.

    async def model(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "model": manifest["model"],
                "labels": manifest["labels"],
                "max_pixels": MAX_PIXELS,
            }
        )

    async def faces(request: web.Request) -> web.Response:
        try:
            encoded = await request.read()
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(one_at_a_time, ask, encoded, manifest, url)
            return web.json_response(answer)
        except web.HTTPRequestEntityTooLarge:
            limit = MAX_PICTURE_BYTES // 2**20
            return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the picture is over {limit} MB")
        except TooManyPixelsError as error:
            return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
        except NoImageError as error:
            return _error(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except ServerError as error:
            return _error(HTTPStatus.BAD_GATEWAY, str(error))

    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(_STATIC / "index.html")

    app.router.add_get("/", page)
    app.router.add_get("/model", model)
    app.router.add_post("/faces", faces)
    app.router.add_static("/static", _STATIC)
    return app


def ask(encoded: bytes, manifest: Mapping[str, Any], url: str) -> dict[str, Any]:
    """What a served model says of the faces on a picture.

    Args:
        encoded: JPEG, PNG or BMP.
        manifest: of the served model.
        url: the model server's REST address.

    Returns:
        `width` and `height` of the picture in pixels, upright where faces are cut out; the model's
        `version`; `milliseconds` that finding the faces and asking took; `faces`, each with its
        `box` (left, top, width, height; None: the whole picture), `label`, `score` and the
        `probabilities` by label; none where the model wants a face and there is none.

    Raises:
        TooManyPixelsError: it has more than MAX_PIXELS.
        NoImageError: it is no picture.
        deploy.client.ServerError: the model server does not answer, or has a model with
            other labels.
    """
    began = time.perf_counter()
    _check_pixels(encoded)
    picture = decode(encoded)
    crop = parse_recipe(manifest["recipe"]).face_crop
    if crop:
        picture = upright(picture, encoded)
    found = _cut(picture, crop) if crop else [(None, encoded)]
    seen = time.perf_counter()
    labels = manifest["labels"]
    answers = predict([face for _, face in found], url=url, model=manifest["model"], labels=labels)
    answered = time.perf_counter()
    height, width, _ = picture.shape
    return {
        "width": width,
        "height": height,
        "version": newest_version(manifest["model"], url=url),
        "milliseconds": {"faces": 1e3 * (seen - began), "model": 1e3 * (answered - seen)},
        "faces": [
            {
                "box": box and [int(side) for side in box],
                "label": answer.label,
                "score": answer.score,
                "probabilities": dict(zip(labels, answer.probabilities, strict=True)),
            }
            for (box, _), answer in zip(found, answers, strict=True)
        ],
    }


def _check_pixels(encoded: bytes) -> None:
    with suppress(UndecodableImageError):  # Which `decode` refuses.
        if (pixels := count_pixels(encoded)) > MAX_PIXELS:
            raise TooManyPixelsError(
                f"the picture has {pixels:,} pixels: scale it down to {MAX_PIXELS:,}"
            )


def _cut(picture: NDArray[np.uint8], crop: FaceCrop) -> list[tuple[Box | None, bytes]]:
    try:
        return cut_faces(picture, crop)
    except NoFaceError:
        return []


def _error(status: HTTPStatus, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)


@web.middleware
async def _headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    response.headers.update(_HEADERS)
    return response
