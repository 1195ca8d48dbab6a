"""Errors of the server: those that end its start, and those that answer a request."""

from http import HTTPStatus

from grpc import StatusCode


class StartError(Exception):
    """The server cannot start; the message is one line for a person, with the cure."""


class ServingError(Exception):
    """A request that cannot be answered.

    Attributes:
        code: the gRPC status code that TensorFlow Serving gives for the same request.
    """

    def __init__(self, code: StatusCode, message: str) -> None:
        """Keeps `code` beside the message."""
        super().__init__(message)
        self.code = code

    @property
    def http_status(self) -> HTTPStatus:
        """The HTTP status that TensorFlow Serving answers for `code`."""
        return _HTTP_STATUS.get(self.code, HTTPStatus.INTERNAL_SERVER_ERROR)


def invalid_argument(message: str) -> ServingError:
    """Returns the error for a request that is wrong in itself."""
    return ServingError(StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    """Returns the error for a request of what is not served."""
    return ServingError(StatusCode.NOT_FOUND, message)


# ToHTTPStatusCode in tensorflow_serving/model_servers/http_server.cc; the rest are 500 there too.
_HTTP_STATUS = {
    StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    StatusCode.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    StatusCode.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}
