"""The REST API: https://www.tensorflow.org/tfx/serving/api_rest, and KServe's beside it."""

import asyncio
import json
import logging
import zlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message
from prometheus_client import CONTENT_TYPE_LATEST
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from deploy.server import json_tensors, json_writer, kserve, messages
from deploy.server.errors import ServingError, invalid_argument
from deploy.server.limits import (
    MAX_MESSAGE_BYTES,
    MAX_SECONDS_TO_ANSWER,
    MAX_SECONDS_TO_READ,
)
from deploy.server.off_loop import off_the_loop
from deploy.server.servable import DEFAULT_SIGNATURE
from deploy.server.serving import Serving

log = logging.getLogger(__name__)

_BODY = web.RequestKey("body", bytes)

Answer = Callable[[Serving, ModelSpec, bytes, float], Awaitable[str]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(serving: Serving) -> web.Application:
    """Returns the application that answers for `serving`."""
    app = web.Application(middlewares=[_errors, _admission(serving)])
    model = r"/v1/models/{model:[^/:]+}"
    for path in (model, model + r"/versions/{version:\d+}", model + "/labels/{label:[^/:]+}"):
        app.router.add_get(path, _handler(serving, "GetModelStatus", _status))
        app.router.add_get(path + "/metadata", _handler(serving, "GetModelMetadata", _metadata))
        app.router.add_post(path + ":predict", _handler(serving, "Predict", _predict))
        app.router.add_post(path + ":classify", _handler(serving, "Classify", _classify))
        app.router.add_post(path + ":regress", _handler(serving, "Regress", _regress))
    app.router.add_get("/v2/health/live", _health(lambda: True))
    app.router.add_get("/v2/health/ready", _health(lambda: not serving.models.problems()))
    model = "/v2/models/{model:[^/]+}"
    for path in (model, model + r"/versions/{version:\d+}"):
        app.router.add_get(path, _handler(serving, "GetModelMetadata", _dumped(kserve.metadata)))
        app.router.add_get(
            path + "/ready", _handler(serving, "GetModelStatus", _dumped(kserve.ready))
        )
        app.router.add_post(path + "/infer", _handler(serving, "Predict", _dumped(kserve.infer)))
    app.router.add_get("/monitoring/prometheus/metrics", _metrics(serving))
    return app


def _handler(serving: Serving, api: str, answer: Answer) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        deadline = asyncio.get_running_loop().time() + MAX_SECONDS_TO_ANSWER
        with serving.monitor.request(request.match_info["model"], api, "REST"):
            spec = _model_spec(request.match_info)
            content = await answer(serving, spec, request[_BODY], deadline)
            return _json(content)

    return handle


def _health(is_well: Callable[[], bool]) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        status = HTTPStatus.OK if is_well() else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response({}, status=status)

    return handle


def _metrics(serving: Serving) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=serving.monitor.page(), headers=headers)

    return handle


def _model_spec(match: Mapping[str, str]) -> ModelSpec:
    spec = ModelSpec(name=match["model"], version_label=match.get("label"))
    if "version" in match:
        try:
            spec.version.value = int(match["version"])
        except ValueError as error:
            raise invalid_argument(f"Failed to convert version: {match['version']}") from error
    return spec


def _dumped(answer: Callable[..., Awaitable[dict[str, Any]]]) -> Answer:
    async def write(*arguments: Any) -> str:
        return json.dumps(await answer(*arguments))

    return write


async def _status(serving: Serving, spec: ModelSpec, _: bytes, deadline: float) -> str:
    request = GetModelStatusRequest(model_spec=spec)
    return _written(await messages.model_status(serving, request, deadline))


async def _metadata(serving: Serving, spec: ModelSpec, _: bytes, deadline: float) -> str:
    request = GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
    response = await messages.model_metadata(serving, request, deadline)
    signatures = SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    # TF Serving writes the map itself, not the `Any` around it, as "signature_def", and puts the
    # parts together so: ToJsonString in tensorflow_serving/model_servers/http_rest_api_util.cc.
    return (
        f'{{\n"model_spec":{_written(response.model_spec)},\n'
        f'"metadata": {{"signature_def": {_written(signatures)}}}\n}}\n'
    )


async def _predict(serving: Serving, spec: ModelSpec, body: bytes, deadline: float) -> str:
    servable = serving.models.find(spec)

    def read() -> tuple[str, json_tensors.PredictBody]:
        parsed = json_tensors.parse_object(body)
        signature = parsed.get("signature_name") or DEFAULT_SIGNATURE
        return signature, json_tensors.predict_inputs(parsed, servable.inputs(signature))

    signature, request = await off_the_loop(len(body), read)
    outputs = await serving.predict(servable, signature, request.inputs, deadline)
    return json_tensors.predict_answer(outputs, request.format)


async def _classify(serving: Serving, spec: ModelSpec, body: bytes, deadline: float) -> str:
    def read() -> ClassificationRequest:
        return json_tensors.classification_request(json_tensors.parse_object(body))

    request = await off_the_loop(len(body), read)
    request.model_spec.MergeFrom(spec)
    response = await messages.classify(serving, request, deadline)
    return json_tensors.classification_answer(response)


async def _regress(serving: Serving, spec: ModelSpec, body: bytes, deadline: float) -> str:
    def read() -> RegressionRequest:
        return json_tensors.regression_request(json_tensors.parse_object(body))

    request = await off_the_loop(len(body), read)
    request.model_spec.MergeFrom(spec)
    return json_tensors.regression_answer(await messages.regress(serving, request, deadline))


def _written(message: Message) -> str:
    """As protobuf writes it in C++: indented by one, with a line end."""
    return (
        json_format.MessageToJson(
            message,
            always_print_fields_with_no_presence=True,
            preserving_proto_field_name=True,
            indent=1,
            ensure_ascii=False,
        )
        + "\n"
    )


def _admission(serving: Serving) -> Any:
    """Bounds how much of all requests is in memory at once, and how long one may take to come."""

    @web.middleware
    async def admission(request: web.Request, handler: Handler) -> web.StreamResponse:
        with serving.bytes.share() as take:
            try:
                async with asyncio.timeout(MAX_SECONDS_TO_READ):
                    request[_BODY] = await _read(request, take)
            except TimeoutError:
                request.protocol.close()  # Else the rest of its body would be waited for.
                raise web.HTTPRequestTimeout from None
            return await handler(request)

    return admission


async def _read(request: web.Request, take: Callable[[int], None]) -> bytes:
    """The body, inflated where it is gzip; each byte is counted when it is there."""
    parts, size = [], 0
    async for part in request.content.iter_any():
        take(len(part))
        parts.append(part)
        size += len(part)
        _require_few(size)
    body = b"".join(parts)
    if request.headers.get("Content-Encoding", "identity") == "identity":
        return body
    inflated = await asyncio.to_thread(_inflate, body)
    take(len(inflated))
    _require_few(len(inflated))
    return inflated


def _inflate(body: bytes) -> bytes:
    """Inflates gzip or zlib, no further than one byte more than is allowed."""
    try:
        return zlib.decompressobj(wbits=47).decompress(body, MAX_MESSAGE_BYTES + 1)
    except zlib.error as error:
        raise invalid_argument(f"The body cannot be inflated: {error}") from error


def _require_few(size: int) -> None:
    if size > MAX_MESSAGE_BYTES:
        raise web.HTTPRequestEntityTooLarge(MAX_MESSAGE_BYTES, size)


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers every error as the API does: `{"error": message}`."""
    try:
        return await handler(request)
    except ServingError as error:
        return _error(error.http_status, str(error))
    except UnicodeEncodeError as error:  # JSON may escape half of a surrogate pair, as in "\ud800"
        return _error(HTTPStatus.BAD_REQUEST, f"A string is no Unicode: {error}")
    except web.HTTPRequestEntityTooLarge:
        limit = MAX_MESSAGE_BYTES // 2**20
        return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Request body is over {limit} MiB")
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        # TF Serving's own: inside its API a path that it does not know is a bad request.
        status = HTTPStatus.BAD_REQUEST if request.path.startswith("/v1/") else error.status
        return _error(status, f"Malformed request: {request.method} {request.path}")
    except web.HTTPException as error:
        return _error(error.status, error.text or error.reason)
    except Exception:
        log.exception("%s %s", request.method, request.path)
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error: look at the server's log")


def _error(status: int, message: str) -> web.Response:
    return _json(json_writer.document("error", json_writer.text(message)), status)


def _json(content: str, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(body=content.encode(), status=status, content_type="application/json")
