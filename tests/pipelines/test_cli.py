"""The command line as a user meets it: what it prints and its exit status."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipelines.runs import MIEN
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
    for command in ("run", "datasets", "compile", "serve", "predict", "ui", "doctor"):
        assert command in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["run", "fer2012"], 2, "config: fer2012: unknown; there are"),
        (["run", "drawn_faces", "--set", "tuner.max_trails=3"], 2, "did you mean max_trials?"),
        (["run", "drawn_faces", "--until", "trian"], 2, "step trian: unknown; there are example_"),
        (["run", "happy_or_sad"], 2, "happy_or_sad needs happy-or-sad.zip"),
        (["run", "happy_or_sad", "--raw-dir", "EMPTY"], 2, "not in EMPTY"),
        (["serve", "--root", "EMPTY"], 2, "no model was pushed under EMPTY: run `mien run"),
        (["predict", "face.png", "--root", "EMPTY"], 2, "no model was pushed under EMPTY"),
        (["ui", "--root", "EMPTY"], 2, "no runs under EMPTY: run `mien run"),
        (["datasets", "show", "fer"], 2, "fer: unknown dataset; there are: "),
        (["compile", "drawn_faces", "-o", "EMPTY/no/p.yaml"], 2, "EMPTY/no"),
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


def test_datasets_are_listed_with_their_files(mien: Mien) -> None:
    finished = mien("datasets")
    assert finished.returncode == 0
    assert "drawn_faces" in finished.stdout
    assert "happy-or-sad.zip" in finished.stdout


def test_a_prepared_dataset_is_shown_and_reused(
    mien: Mien, tmp_path: Path, environment: dict[str, str]
) -> None:
    options = ("--root", tmp_path, "--set", "dataset.options={images_per_class: 6, subjects: 6}")
    prepared = mien("datasets", "prepare", "drawn_faces", *options, env=environment)
    assert prepared.returncode == 0, prepared.stderr
    shown = mien("datasets", "show", "drawn_faces", "--root", tmp_path)
    rows = [line.split() for line in shown.stdout.splitlines()]
    images = [int(row[1]) for row in rows if row and row[0] in ("train", "validation", "test")]
    assert sum(images) == 7 * 6
    again = mien("datasets", "prepare", "drawn_faces", *options, env=environment)
    assert "example_gen reused" in again.stdout


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
