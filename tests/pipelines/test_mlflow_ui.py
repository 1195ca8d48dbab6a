"""The MLflow UI in a real browser, over `mien ui`, after a run of the tiny config."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.flink.processes import free_ports
from tests.chromium import chromium
from tests.pipelines.runs import MIEN
from tests.pipelines.servers import wait_until_it_answers

pytestmark = pytest.mark.xdist_group("tiny_run")

NESTED = ("tiny 20", "tuner", "trial 3")
PATIENCE = 60_000
"""Milliseconds; each wait ends when what it waits for is there."""


@pytest.fixture(scope="module")
def ui(
    tiny_root: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    (port,) = free_ports(1)
    log = tmp_path_factory.mktemp("ui") / "ui.log"
    command = [MIEN, "ui", "--root", str(tiny_root), "--port", str(port)]
    with log.open("w") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        try:
            wait_until_it_answers(process, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}/#/experiments/1"
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page; what it shows at the end is left in MIEN_SCREENSHOTS, or in the test's folder."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE)
    yield page
    folder = Path(os.environ.get("MIEN_SCREENSHOTS", tmp_path))
    page.screenshot(path=folder / f"{request.node.name}.png")
    page.close()


def run_url(ui: str, root: Path, step: str) -> str:
    """The page of a step's first run."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    runs = client.search_runs(
        ["1"], f"attributes.run_name = '{step}'", order_by=["attributes.start_time"]
    )
    return f"{ui}/runs/{runs[0].info.run_id}"


def test_the_steps_lie_below_the_run_and_the_trials_below_the_tuner(page: Any, ui: str) -> None:
    page.goto(f"{ui}/runs?workflowType=machine_learning")
    rows = page.locator(".ag-pinned-left-cols-container .ag-row")
    # The newest run is on top; the first one executed all steps.
    rows.filter(has_text="tiny 20").last.locator("button").first.click()
    rows.filter(has_text="tuner").locator("button").first.click()
    rows.filter(has_text="trial 3").wait_for()
    indents = [rows.filter(has_text=name).last.locator("a").bounding_box()["x"] for name in NESTED]
    assert indents == sorted(set(indents))
    assert rows.filter(has_text="trial").count() == 3


def test_a_training_has_its_curves(page: Any, ui: str, tiny_root: Path) -> None:
    page.goto(f"{run_url(ui, tiny_root, 'trainer')}/model-metrics")
    page.locator(".js-plotly-plot .scatterlayer .trace").first.wait_for()
    page.get_by_text("learning_rate", exact=True).first.wait_for()
    assert page.locator(".js-plotly-plot .scatterlayer .trace").count() >= 3


def test_an_evaluation_has_its_pictures(page: Any, ui: str, tiny_root: Path) -> None:
    page.goto(f"{run_url(ui, tiny_root, 'evaluator')}/artifacts")
    page.get_by_text("confusion_matrix.png", exact=True).first.click()
    picture = page.get_by_alt_text("confusion_matrix.png")
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300


def test_a_run_says_its_verdict_and_how_to_serve(page: Any, ui: str, tiny_root: Path) -> None:
    page.goto(f"{ui}/runs/{first_run(tiny_root)}")
    page.get_by_text("BLESSED", exact=True).first.wait_for()
    assert "mien serve tiny" in page.inner_text("body")
    assert page.get_by_role("table").filter(has_text="95 % interval").count() >= 1


def first_run(root: Path) -> str:
    """The MLflow id of the run that executed all steps."""
    runs = sorted(root.glob("runs/*-*/run.json"))
    return json.loads(runs[0].read_text())["mlflow_run_id"]
