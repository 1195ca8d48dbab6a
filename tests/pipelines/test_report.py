"""The report as a run of the pipeline leaves it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from components.common.files import read_json
from tests.pipelines.runs import execution, read_run

pytestmark = pytest.mark.xdist_group("tiny_run")

Mien = Callable[..., subprocess.CompletedProcess[str]]


def test_a_run_leaves_a_report_of_all_that_it_did(tiny_root: Path) -> None:
    html = (tiny_root / "runs" / "latest" / "report.html").read_text()
    parts = ("verdict", "steps", "data", "search", "training", "evaluation", "model", "reproduce")
    for part in parts:
        assert f'<section id="{part}"' in html
    dataset = read_json(execution(tiny_root, "example_gen") / "examples" / "dataset.json")
    assert dataset["digest"] in html
    assert html.count('src="data:image/') >= 8
    assert "Total params" in html
    assert len(html) < 5_000_000


def test_what_it_takes_to_run_it_again_is_kept_beside_it(tiny_root: Path) -> None:
    folder = tiny_root / "runs" / "latest"
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["epochs"] == 3
    environment = read_json(folder / "environment.json")
    assert environment["git_commit"]
    assert environment["packages"]["keras"].startswith("3.")


def test_mlflow_has_the_report(tiny_root: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tiny_root / 'mlflow.db'}")
    files = [file.path for file in client.list_artifacts(read_run(tiny_root)["mlflow_run_id"])]
    assert {"report.html", "run.json", "config.yaml"} <= set(files)


def test_it_can_be_written_anew(mien: Mien, tiny_root: Path, environment: dict[str, str]) -> None:
    report = tiny_root / "runs" / read_run(tiny_root)["run_id"] / "report.html"
    report.write_text("gone")
    finished = mien("report", "--root", tiny_root, env=environment)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == f"{report}\n"
    assert '<section id="evaluation"' in report.read_text()


def test_a_run_that_fails_has_a_report_that_says_why(
    mien: Mien, tiny_config: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    options = ("--root", tmp_path, "--set", "dataset.options.subjects=0")
    finished = mien("run", tiny_config, *options, env=environment)
    assert finished.returncode == 2
    html = (tmp_path / "runs" / "latest" / "report.html").read_text()
    assert "example_gen failed." in html
    assert read_run(tmp_path)["steps"][0]["reason"].split(":")[0] in html
