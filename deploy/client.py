"""A small client of the REST API: encoded images in, predictions out.

It needs `requests` alone, so that it imports in a moment and can be copied elsewhere. It speaks
to any server of https://www.tensorflow.org/tfx/serving/api_rest.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

_MAX_BATCH_BYTES = 16 * 2**20
"""Of encoded images; base64 makes a third more of them, and mien's server takes 32 MiB."""

_RETRY = Retry(
    total=None,
    connect=0,
    read=False,  # A silence is told as such, not as a failed retry.
    status=4,
    status_forcelist=(HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE),
    backoff_factor=0.25,
    allowed_methods=None,  # To ask a model twice does no harm.
    raise_on_status=False,
)


class ServerError(RuntimeError):
    """The server did not answer as hoped; the message is for a person, with the cure."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        label: the most probable class.
        score: its probability, 0 to 1.
        probabilities: of all classes, in the order of the model's labels.
    """

    label: str
    score: float
    probabilities: tuple[float, ...]


def predict(
    images: Sequence[bytes],
    *,
    url: str = "http://127.0.0.1:8501",
    model: str,
    labels: Sequence[str] = (),
    timeout: float = 30.0,
    batch_size: int = 32,
) -> list[Prediction]:
    """Asks the server at `url` what `model` says of `images`.

    A server that is busy is asked again, four times within four seconds.

    Args:
        images: encoded images, JPEG, PNG or BMP. One that cannot be decoded fails them all.
        url: where the server's REST API is; `http://` may be left out.
        model: the name under which the model is served.
        labels: those that it is known to have, in their order; () where nobody knows them.
        timeout: seconds to wait for the connection, and for each answer.
        batch_size: images a request at most; of large ones it is fewer.

    Returns:
        A prediction for every image, in their order.

    Raises:
        ServerError: there is no server, it has no such model or one with other labels, it cannot
            read an image, or what answers is no model server.
    """
    url = _address(url)
    endpoint = f"{url}/v1/models/{model}:predict"
    with _session(url) as session:
        predictions = [
            prediction
            for batch in _batches(images, batch_size)
            for prediction in _ask(session, endpoint, batch, url, model, timeout)
        ]
    if labels and not all(_is_of(labels, prediction) for prediction in predictions):
        raise ServerError(
            f"version {newest_version(model, url=url)} of {model}, which the server at {url} has, "
            f"does not know the labels {', '.join(labels)} in this order: "
            "push the version that is here there too, or give the url of a server that has it"
        )
    return predictions


def _is_of(labels: Sequence[str], prediction: Prediction) -> bool:
    shares = prediction.probabilities
    if len(shares) != len(labels):
        return False
    return dict(zip(labels, shares, strict=True)).get(prediction.label) == max(shares)


def newest_version(model: str, *, url: str, timeout: float = 5.0) -> str:
    """The newest version that is served: the answers of TF Serving's REST API do not say it.

    Raises:
        ServerError: the server at `url` does not say it either.
    """
    url = _address(url)
    try:
        with _session(url) as session:
            status = session.get(f"{url}/v1/models/{model}", timeout=timeout).json()
        versions = status["model_version_status"]
        return max((one["version"] for one in versions if one["state"] == "AVAILABLE"), key=int)
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise ServerError(f"the server at {url} does not say which version it serves") from error


def _address(url: str) -> str:
    return (url if "://" in url else f"http://{url}").rstrip("/")


def _session(url: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = not _is_loopback(url)  # A proxy would ask its own machine.
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=_RETRY))
    return session


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _batches(images: Sequence[bytes], batch_size: int) -> Iterator[list[bytes]]:
    """Images a request: no more than are asked for, and than a server takes."""
    batch: list[bytes] = []
    for image in images:
        size = sum(map(len, batch)) + len(image)
        if batch and (len(batch) == batch_size or size > _MAX_BATCH_BYTES):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def _ask(
    session: requests.Session,
    endpoint: str,
    images: Sequence[bytes],
    url: str,
    model: str,
    timeout: float,
) -> list[Prediction]:
    instances = [{"b64": base64.b64encode(image).decode()} for image in images]
    response = _post(session, endpoint, {"instances": instances}, timeout)
    if response.status_code != HTTPStatus.OK:
        raise ServerError(_complaint(response, url, model))
    try:
        return [_prediction(row) for row in response.json()["predictions"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ServerError(
            f"what answers at {url} for {model} is no model of mien: give the right url and model"
        ) from error


def _post(
    session: requests.Session, endpoint: str, body: dict[str, Any], timeout: float
) -> requests.Response:
    url = endpoint.split("/v1/")[0]
    try:
        return session.post(endpoint, json=body, timeout=timeout)
    except requests.Timeout as error:
        raise ServerError(
            f"the server at {url} did not answer in {timeout:g} s: "
            "send fewer images, or allow it a longer timeout"
        ) from error
    except requests.RequestException as error:
        raise ServerError(f"no server answers at {url}: start one with `mien serve`") from error


def _complaint(response: requests.Response, url: str, model: str) -> str:
    message = _message(response)
    if response.status_code == HTTPStatus.NOT_FOUND:
        return f"the server at {url} has no model {model}: `mien serve {model}` starts one that has"
    if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return f"the images are too large for the server at {url}, send fewer at once: {message}"
    if response.status_code == HTTPStatus.BAD_REQUEST:
        return (
            f"the server at {url} cannot read an image, "
            f"send whole JPEG, PNG or BMP files: {message}"
        )
    return f"the server at {url} answered {response.status_code}, look at its log: {message}"


def _message(response: requests.Response) -> str:
    try:
        return str(response.json()["error"]).partition("\n")[0]
    except (ValueError, KeyError, TypeError):
        return response.reason


def _prediction(row: dict[str, Any]) -> Prediction:
    return Prediction(row["label"], row["score"], tuple(row["probabilities"]))
