"""The REST API: https://www.tensorflow.org/tfx/serving/api_rest, without labels and regress."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from google.protobuf import json_format
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec

from deploy.server import json_tensors, messages
from deploy.server.errors import ServingError, invalid_argument
from deploy.server.limits import MAX_MESSAGE_BYTES
from deploy.server.servable import DEFAULT_SIGNATURE, Servable

Answer = Callable[[Servable, ModelSpec, bytes], dict[str, Any]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(servable: Servable) -> web.Application:
    """Returns the application that answers for `servable`; bodies are bounded by aiohttp."""
    app = web.Application(middlewares=[_errors], client_max_size=MAX_MESSAGE_BYTES)
    model = r"/v1/models/{model:[^/:]+}"
    for path in (model, model + r"/versions/{version:\d+}"):
        app.router.add_get(path, _handler(servable, _status))
        app.router.add_get(path + "/metadata", _handler(servable, _metadata))
        app.router.add_post(path + ":predict", _handler(servable, _predict))
        app.router.add_post(path + ":classify", _handler(servable, _classify))
    return app


def _handler(servable: Servable, answer: Answer) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        spec = _model_spec(request.match_info)
        body = await request.read()
        # A thread, for TensorFlow and for the parsing of large bodies: the loop stays free.
        text = await asyncio.to_thread(lambda: json.dumps(answer(servable, spec, body)))
        return web.json_response(text=text)

    return handle


def _model_spec(match: Mapping[str, str]) -> ModelSpec:
    spec = ModelSpec(name=match["model"])
    if "version" in match:
        try:
            spec.version.value = int(match["version"])
        except ValueError as error:
            raise invalid_argument(f"Failed to convert version: {match['version']}") from error
    return spec


def _status(servable: Servable, spec: ModelSpec, _: bytes) -> dict[str, Any]:
    response = messages.model_status(servable, GetModelStatusRequest(model_spec=spec))
    return json_format.MessageToDict(response, always_print_fields_with_no_presence=True)


def _metadata(servable: Servable, spec: ModelSpec, _: bytes) -> dict[str, Any]:
    request = GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
    response = messages.model_metadata(servable, request)
    signatures = SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    # TF Serving writes the map itself, not the `Any` around it, as "signature_def".
    return {
        "model_spec": _to_dict(response.model_spec),
        "metadata": {"signature_def": _to_dict(signatures)},
    }


def _predict(servable: Servable, spec: ModelSpec, body: bytes) -> dict[str, Any]:
    messages.require(servable, spec)
    parsed = json_tensors.parse_object(body)
    signature = parsed.get("signature_name") or DEFAULT_SIGNATURE
    request = json_tensors.predict_inputs(parsed, servable.inputs(signature))
    return json_tensors.predict_answer(servable.predict(signature, request.inputs), request.format)


def _classify(servable: Servable, spec: ModelSpec, body: bytes) -> dict[str, Any]:
    request = json_tensors.classification_request(json_tensors.parse_object(body))
    request.model_spec.MergeFrom(spec)
    return json_tensors.classification_answer(messages.classify(servable, request))


def _to_dict(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
    )


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


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
