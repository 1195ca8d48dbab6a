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
from deploy.server.servable import Servable

_PREDICTION = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name
_MODEL = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name

Method = Callable[[Message, grpc.aio.ServicerContext], Awaitable[Message]]


async def add_services(server: grpc.aio.Server, servable: Servable) -> None:
    """Adds to `server`, before its start, all that answers for `servable`."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _PredictionService(servable), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(servable), server)
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    for name in (health.OVERALL_HEALTH, _PREDICTION, _MODEL):
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    names = (_PREDICTION, _MODEL, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, servable: Servable) -> None:
        self.Predict = _method(servable, messages.predict)
        self.Classify = _method(servable, messages.classify)
        self.GetModelMetadata = _method(servable, messages.model_metadata)


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, servable: Servable) -> None:
        self.GetModelStatus = _method(servable, messages.model_status)


def _method(servable: Servable, answer: Callable[[Servable, Any], Message]) -> Method:
    async def method(request: Message, context: grpc.aio.ServicerContext) -> Message:
        try:
            return await asyncio.to_thread(answer, servable, request)
        except ServingError as error:
            await context.abort(error.code, str(error))

    return method
