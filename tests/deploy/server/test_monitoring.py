from typing import Any

import pytest
import requests
from grpc import StatusCode
from prometheus_client.parser import text_string_to_metric_families

from deploy.server.errors import ServingError
from deploy.server.monitoring import Monitor


def counts(page: str) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["model_name"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == ":tensorflow:serving:request_count"
    }


def test_requests_are_counted_by_model_and_status() -> None:
    monitor = Monitor(lambda: ["faces"], lambda: 3)
    with monitor.request("faces", "Predict", "REST"):
        pass
    with pytest.raises(ServingError), monitor.request("faces", "Predict", "REST"):
        raise ServingError(StatusCode.INVALID_ARGUMENT, "no picture")
    with pytest.raises(ServingError), monitor.request("of an attacker", "Predict", "REST"):
        raise ServingError(StatusCode.NOT_FOUND, "no model")
    page = monitor.page().decode()
    assert counts(page) == {
        ("faces", "OK"): 1,
        ("faces", "INVALID_ARGUMENT"): 1,
        ("", "NOT_FOUND"): 1,
    }
    assert ":mien:rows_waiting 3.0" in page


def test_prometheus_reads_the_page_of_a_running_server(server: Any) -> None:
    url = f"{server.url}/monitoring/prometheus/metrics"
    requests.get(server.model_url, timeout=60)
    response = requests.get(url, timeout=60)
    assert response.headers["Content-Type"].startswith("text/plain")
    assert counts(response.text)["faces", "OK"] >= 1
    assert 'API="GetModelStatus",entrypoint="REST"' in response.text
