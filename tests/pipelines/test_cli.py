"""The command line as a user meets it: what it prints and its exit status."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.errors import UsageError, exit_status
from pipelines.mlflow_runs import ui_command
from pipelines.ports import require_free
from tests.pipelines.runs import MIEN
from tfds_builders.catalog import OptionError
from tfds_builders.drawn_faces.pictures import Picture, draw_png

Mien = Callable[..., subprocess.CompletedProcess[str]]


def test_help_imports_nothing_heavy() -> None:
    heavy = {"tensorflow", "apache_beam", "mlflow", "keras", "kfp", "pydantic", "numpy", "cv2"}
    program = f"import sys, pipelines.cli; print(sorted({heavy} & set(sys.modules)))"
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == "[]"


def test_help_names_the_commands(mien: Mien) -> None:
    finished = mien("--help")
    assert finished.returncode == 0
    for command in (
        "run",
        "datasets",
        "compile",
        "serve",
        "predict",
        "demo",
        "models",
        "report",
        "ui",
        "doctor",
    ):
        assert command in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["run", "fer2012"], 2, "config: fer2012: unknown; did you mean fer2013?"),
        (
            ["run", "affectnet"],
            2,
            "config: affectnet: unknown; there are ck_plus, ck_plus_augmented, ",
        ),
        (["run", "drawn_faces", "--set", "tuner.max_trails=3"], 2, "did you mean max_trials?"),
        (["run", "drawn_faces", "--until", "trian"], 2, "step trian: unknown; there are example_"),
        (["run", "happy_or_sad"], 2, "happy_or_sad needs happy-or-sad.zip"),
        (["run", "happy_or_sad", "--raw-dir", "EMPTY"], 2, "not in EMPTY"),
        (["serve", "--root", "EMPTY"], 2, "no model was pushed under EMPTY: run `mien run"),
        (["predict", "face.png", "--root", "EMPTY"], 2, "no model was pushed under EMPTY"),
        (["ui", "--root", "EMPTY"], 2, "no runs under EMPTY: run `mien run"),
        (
            ["run", "drawn_faces", "--until", "transform", "--force", "trainer"],
            2,
            "--force trainer: --until transform ends before it",
        ),
        (["run", "drawn_faces", "--root", "/dev/null/x"], 2, "--root /dev/null/x: Not a directory"),
        (["datasets", "show", "fer"], 2, "fer: unknown dataset; did you mean fer2013? there are: "),
        (["datasets", "prepare", "fer"], 2, "fer: unknown"),
        (["datasets", "prepare", "happy_house"], 2, "happy_house needs train_happy.h5 and test_h"),
        (
            ["run", "facial_expressions", "--raw-dir", "EMPTY"],
            2,
            "labelled_faces needs facial_expressions.zip: not in EMPTY",
        ),
        (
            ["run", "drawn_faces", "--set", "split.kfold=2"],
            2,
            "split: kfold is 2: 3 folds or more, or 0 for none",
        ),
        (["compile", "drawn_faces", "-o", "EMPTY/no/p.yaml"], 2, "-o EMPTY/no/p.yaml: wanted"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_cure(
    mien: Mien, tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    arguments = [argument.replace("EMPTY", str(tmp_path)) for argument in arguments]
    finished = mien(*arguments, cwd=tmp_path)
    assert finished.returncode == status
    (line,) = finished.stderr.strip().splitlines()
    assert line.startswith("mien: ")
    assert message.replace("EMPTY", str(tmp_path)) in line


@pytest.mark.parametrize(
    "arguments",
    [["--verbose", "run", "fer2012"], ["datasets", "show", "fer", "--verbose"]],
)
def test_verbose_adds_the_traceback_to_every_command(mien: Mien, arguments: list[str]) -> None:
    finished = mien(*arguments)
    assert finished.returncode == 2
    assert finished.stderr.startswith("Traceback")
    assert finished.stderr.splitlines()[-1].startswith("mien: ")


@pytest.mark.parametrize("port", ["0", "70000"])
@pytest.mark.parametrize(
    ("command", "flag"), [("serve", "--rest-port"), ("serve", "--grpc-port"), ("ui", "--port")]
)
def test_a_number_that_is_no_port_is_a_usage_error(
    command: str,
    flag: str,
    port: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _exit_status(monkeypatch, command, flag, port) == 2
    assert flag in capsys.readouterr().err


@pytest.mark.parametrize("host", ["nonsense.invalid", "192.0.2.1", "[::1"])
def test_a_host_that_is_not_this_one_is_named(host: str) -> None:
    with pytest.raises(UsageError) as caught:
        require_free(host, 8501, "--rest-port")
    assert str(caught.value).startswith(f"host {host}: ")
    assert str(caught.value).endswith("say another --host")


def test_ctrl_c_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.config.load_config", interrupt)
    monkeypatch.setattr(os, "_exit", sys.exit)  # It would end the tests.
    assert _exit_status(monkeypatch, "run", "drawn_faces") == 130
    assert capsys.readouterr().err == "mien: interrupted; run it again to go on\n"


def _exit_status(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["mien", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


@pytest.mark.parametrize(
    ("cause", "status"),
    [(OptionError("imgs: unknown"), 2), (FileNotFoundError("model.keras"), 1), (None, 1)],
)
def test_a_step_that_could_not_read_its_options_is_the_users(
    cause: Exception | None, status: int
) -> None:
    failed = RuntimeError("example_gen failed")
    failed.__cause__ = cause
    assert exit_status(failed) == status


def test_the_ui_is_of_the_database_that_the_user_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", elsewhere)
    assert elsewhere in ui_command(tmp_path, "127.0.0.1", _free_ports(1)[0])
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(UsageError, match="no runs under"):
        ui_command(tmp_path, "127.0.0.1", 5000)


def test_doctor_finds_the_stack(mien: Mien) -> None:
    finished = mien("doctor")
    assert finished.returncode == 0, finished.stdout
    for part in ("tensorflow", "apache-beam", "mlflow", "accelerators"):
        assert part in finished.stdout


@pytest.fixture(scope="module")
def server(tiny_root: Path) -> Iterator[str]:
    """`mien serve` on the tiny model; gives its REST address."""
    ports = _free_ports(2)
    command = [MIEN, "serve", "--root", str(tiny_root)]
    command += ["--server", "embedded", "--grpc-port", str(ports[0]), "--rest-port", str(ports[1])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("serving tiny version ")
        yield f"http://127.0.0.1:{ports[1]}"
        process.terminate()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "face.png"
    path.write_bytes(draw_png(Picture(0, "happy", 0, 0, 1.0), 96, (0.9, 1.0), seed=3))
    return path


class FarServer(BaseHTTPRequestHandler):
    """A server whose model was pushed elsewhere, and is sure of happiness."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        happy = {"label": "happy", "score": 0.75, "probabilities": [0.25, 0.75]}
        self.send_response(200 if self.path == "/v1/models/far:predict" else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"predictions": [happy] * len(body["instances"])}).encode())

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def far_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), FarServer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_whole_pictures_need_no_model_here_and_a_bad_one_spoils_no_other(
    mien: Mien, far_server: str, face: Path, tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    ask = ("predict", text, face, "--url", far_server, "--root", tmp_path, "--no-crop")
    table = mien(*ask, "--model", "far")
    assert table.returncode == 1
    assert table.stderr.strip() == f"mien: {text}: no picture: wanted JPEG, PNG or BMP"
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["image", "face", "label", "score"],
        [str(face), "whole", "picture", "happy", "0.750"],
    ]
    (answer,) = json.loads(mien(*ask, "--model", "far", "--json").stdout)
    assert answer["probabilities"] == [0.25, 0.75]
    assert "has no model near" in mien(*ask, "--model", "near").stderr


@pytest.mark.xdist_group("tiny_run")
def test_predict_asks_the_server(mien: Mien, tiny_root: Path, server: str, face: Path) -> None:
    finished = mien("predict", face, "--root", tiny_root, "--url", server, "--json")
    assert finished.returncode == 0, finished.stderr
    (answer,) = json.loads(finished.stdout)
    assert answer["image"] == str(face)
    assert answer["probabilities"][answer["label"]] == answer["score"]
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.xdist_group("tiny_run")
def test_a_file_that_is_no_picture_spoils_no_other(
    mien: Mien, tiny_root: Path, server: str, face: Path, tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    finished = mien("predict", text, face, "--root", tiny_root, "--url", server)
    assert finished.returncode == 1
    assert finished.stderr.strip() == f"mien: {text}: no picture: wanted JPEG, PNG or BMP"
    assert "face.png" in finished.stdout


@pytest.mark.xdist_group("tiny_run")
def test_predict_without_a_server_says_how_to_start_one(
    mien: Mien, tiny_root: Path, face: Path
) -> None:
    url = f"http://127.0.0.1:{_free_ports(1)[0]}"
    finished = mien("predict", face, "--root", tiny_root, "--url", url)
    assert finished.returncode == 1
    (line,) = finished.stderr.strip().splitlines()
    assert url in line
    assert "mien serve" in line


@pytest.mark.xdist_group("tiny_run")
@pytest.mark.parametrize(("command", "flag"), [("serve", "--rest-port"), ("ui", "--port")])
def test_a_port_in_use_is_named_with_the_flag(
    mien: Mien, tiny_root: Path, command: str, flag: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ["--grpc-port", str(_free_ports(1)[0])] if command == "serve" else []
        finished = mien(command, "--root", tiny_root, flag, str(port), *options)
    assert finished.returncode == 1
    (line,) = finished.stderr.strip().splitlines()
    assert f"port {port}" in line
    assert flag in line
