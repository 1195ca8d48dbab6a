"""The gRPC API: PredictionService and ModelService, with health and reflection beside them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import (
    model_service_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
)

from deploy.server import messages
from deploy.server.errors import ServingError
from deploy.server.limits import MAX_SECONDS_TO_ANSWER
from deploy.server.serving import Serving

_PREDICTION = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name
_MODEL = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name

Method = Callable[[Any, grpc.aio.ServicerContext], Awaitable[Message]]


async def add_services(server: grpc.aio.Server, serving: Serving) -> health.aio.HealthServicer:
    """Adds to `server`, before its start, all that answers for `serving`; returns its health."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _PredictionService(serving), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(serving), server)
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    for name in (health.OVERALL_HEALTH, _PREDICTION, _MODEL):
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    names = (_PREDICTION, _MODEL, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return healthy


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, serving: Serving) -> None:
        self.Predict = _method(serving, "Predict", messages.predict)
        self.Classify = _method(serving, "Classify", messages.classify)
        self.Regress = _method(serving, "Regress", messages.regress)
        self.GetModelMetadata = _method(serving, "GetModelMetadata", messages.model_metadata)


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, serving: Serving) -> None:
        self.GetModelStatus = _method(serving, "GetModelStatus", messages.model_status)
        self.HandleReloadConfigRequest = _method(
            serving, "HandleReloadConfigRequest", messages.reload_config
        )


def _method(
    serving: Serving, api: str, answer: Callable[[Serving, Any, float], Awaitable[Message]]
) -> Method:
    async def method(request: Any, context: grpc.aio.ServicerContext) -> Message:
        seconds = context.time_remaining()
        deadline = asyncio.get_running_loop().time() + min(
            MAX_SECONDS_TO_ANSWER if seconds is None else seconds, MAX_SECONDS_TO_ANSWER
        )
        model = request.model_spec.name if hasattr(request, "model_spec") else ""
        try:
            with (
                serving.monitor.request(model, api, "GRPC"),
                serving.bytes.share() as take,
            ):
                take(request.ByteSize())
                return await answer(serving, request, deadline)
        except ServingError as error:
            await context.abort(error.code, str(error))

    return method
