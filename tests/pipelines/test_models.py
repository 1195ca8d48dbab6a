"""`mien models`: the folder decides what is served, and the registry follows."""

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from components.common.files import file_digests, write_json
from components.common.publishing import registry, serving
from components.common.publishing.serving import HELD, MANIFEST
from pipelines import registry as registering
from pipelines.cli import main
from pipelines.mlflow_runs import tracking_uri
from pipelines.models import NoModelError, newest_manifest

Mien = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mien(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Mien:
    """Runs `mien models ...` on the root; gives its exit status, stdout and stderr."""

    def run(*arguments: str, uri: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mien", "models", *arguments, "--root", str(root)])
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)  # MLflow sets it.
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return run


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline root without MLflow: versions 1 and 2 of `faces`, and 3 held back."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    write_version(tmp_path, "faces", 1)
    write_version(tmp_path, "faces", 2)
    write_version(tmp_path, "faces", 3, held=True)
    return tmp_path


def write_version(root: Path, model: str, number: int, *, held: bool = False) -> None:
    base = root / "serving" / model
    folder = (base / HELD if held else base) / str(number)
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_text(f"graph of {model} {number}")
    manifest = {
        "model": model,
        "version": number,
        "published_at": f"2026-11-0{number} 10:00 UTC",
        "labels": ["sad", "happy"],
        "dataset": {"name": "made", "digest": "d1"},
        "origin": {"config": "mine"},
        "evaluation": {
            "split": "test",
            "images": 20,
            "test/accuracy": {"value": 0.5 + number / 10, "low": 0.4, "high": 0.9},
            "test/macro_f1": {"value": 0.25, "low": 0.2, "high": 0.3},
        },
        "files": file_digests(folder),
    }
    write_json(folder / MANIFEST, manifest)
    (folder / "model_card.md").write_text(f"---\ntags: [x]\n---\n\n# {model}, version {number}\n")


@pytest.fixture
def registered(root: Path) -> Callable[[], dict[str, str]]:
    """Has MLflow know the versions; gives the serving version that each alias leads to."""
    mlflow.set_tracking_uri(tracking_uri(root))
    client = mlflow.MlflowClient()
    client.create_registered_model("faces")
    base = root / "serving" / "faces"
    for folder in serving.read_versions(base).folders().values():
        manifest = json.loads((folder / MANIFEST).read_text())
        client.create_model_version("faces", folder.as_uri(), tags=dict(registry.tags(manifest)))
    registry.set_aliases(mlflow, base)

    def aliases() -> dict[str, str]:
        found = client.get_registered_model("faces").aliases
        return {
            alias: client.get_model_version("faces", version).tags["serving_version"]
            for alias, version in found.items()
        }

    return aliases


def statuses(mien: Mien) -> dict[int, str]:
    status, out, _ = mien("list", "--json")
    assert status == 0
    return {row["version"]: row["status"] for row in json.loads(out)}


def test_the_list_tells_of_every_version_how_good_it_is_and_whether_it_is_served(
    mien: Mien,
) -> None:
    status, out, err = mien("list")
    assert (status, err) == (0, "")
    head, *rows = [line.split() for line in out.splitlines()]
    assert head[:3] == ["model", "version", "status"]
    assert [row[:3] for row in rows] == [
        ["faces", "1", "earlier"],
        ["faces", "2", "champion"],
        ["faces", "3", "challenger"],
    ]
    said = ["0.700", "(0.400", "to", "0.900)", "0.250", "2026-11-02", "10:00", "UTC", "made"]
    assert rows[1][3:] == said


def test_a_script_gets_the_list_as_json(mien: Mien, root: Path) -> None:
    _, out, _ = mien("list", "--json")
    newest = json.loads(out)[-1]
    assert newest["path"] == str((root / "serving" / "faces" / HELD / "3").resolve())
    assert newest["evaluation"]["test/accuracy"]["value"] == 0.8
    assert newest["origin"] == {"config": "mine"}


def test_a_model_of_which_nothing_is_served_is_listed(mien: Mien, root: Path) -> None:
    write_version(root, "new", 1, held=True)
    _, out, _ = mien("list", "--json")
    rows = [(row["model"], row["status"]) for row in json.loads(out)]
    assert rows[-1] == ("new", "challenger")


def test_without_any_model_the_list_says_how_to_get_one(mien: Mien, root: Path) -> None:
    (root / "serving").rename(root / "gone")
    status, out, _ = mien("list")
    assert status == 0
    assert "run `mien run drawn_faces`" in out


@pytest.mark.parametrize("arguments", [["list"], ["show", "faces"], ["rollback", "faces"]])
def test_where_nothing_was_tracked_no_database_is_made(
    mien: Mien, root: Path, arguments: list[str]
) -> None:
    mien(*arguments)
    assert not (root / "mlflow.db").exists()


def test_show_tells_of_the_champion_where_it_lies_and_shows_its_card(
    mien: Mien, root: Path
) -> None:
    status, out, _ = mien("show", "faces")
    assert status == 0
    assert "faces version 2, champion: it is served" in out
    assert str(root / "serving" / "faces" / "2") in out
    assert "mien serve faces --root" in out
    assert "faces, version 2" in out
    assert "tags: [x]" not in out


def test_show_tells_how_a_held_version_comes_to_be_served(mien: Mien) -> None:
    _, out, _ = mien("show", "faces", "3")
    assert "challenger: held back" in out
    assert "mien models promote faces 3 --root" in out


def test_promote_and_rollback_move_what_is_served_and_say_so(mien: Mien) -> None:
    status, out, _ = mien("promote", "faces", "3")
    assert (status, out) == (0, "faces: version 3 is served now (it was version 2)\n")
    assert statuses(mien) == {1: "earlier", 2: "earlier", 3: "champion"}
    _, out, _ = mien("rollback", "faces")
    assert out == "faces: version 2 is served now (it was version 3)\nwithdrawn: version 3\n"
    _, out, _ = mien("promote", "faces", "1")
    assert out == "faces: version 1 is served now (it was version 2)\nwithdrawn: version 2\n"
    assert statuses(mien) == {1: "champion", 2: "withdrawn", 3: "withdrawn"}
    _, out, _ = mien("promote", "faces", "1")
    assert out == "faces: version 1 is served already\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["promote", "faces", "9"], "faces has no version 9; there are: 1, 2, 3"),
        (["promote", "cats", "1"], "cats: no such model under ROOT; there are: faces"),
        (["show", "faces", "9"], "faces has no version 9; there are: 1, 2, 3"),
        (["rollback", "one"], "one has no version to go back to: 1 is the only one"),
    ],
)
def test_what_cannot_be_is_one_line_with_what_can(
    mien: Mien, root: Path, arguments: list[str], said: str
) -> None:
    if "one" in arguments:
        write_version(root, "one", 1)
    status, _, err = mien(*arguments)
    assert status == 2
    (line,) = err.splitlines()
    assert line.startswith("mien: ")
    assert said.replace("ROOT", str(root)) in line


@pytest.mark.parametrize("arguments", [["promote", "faces", "1"], ["rollback", "faces"]])
def test_a_damaged_version_is_not_served(mien: Mien, root: Path, arguments: list[str]) -> None:
    (root / "serving" / "faces" / "1" / "saved_model.pb").write_text("cut")
    status, _, err = mien(*arguments)
    assert status == 2
    assert "version 1 is not served: saved_model.pb is not the file that mien_manifest.json" in err
    assert statuses(mien)[2] == "champion"


@pytest.mark.xdist_group("registry")
def test_the_aliases_move_with_what_is_served(
    mien: Mien, registered: Callable[[], dict[str, str]]
) -> None:
    assert registered() == {"champion": "2", "challenger": "3"}
    _, _, err = mien("rollback", "faces")
    assert err == "faces: the registry's champion is now version 1\n"
    assert registered() == {"champion": "1", "challenger": "3"}
    _, out, _ = mien("show", "faces", "2")
    assert "mien.dataset_digest: d1" in out

    # As after a kill between the folder and the alias.
    serving.promote(Path(mlflow.get_tracking_uri()[10:]).parent / "serving" / "faces", 3)
    _, _, err = mien("list")
    assert err.splitlines() == [
        "faces: the registry's champion is now version 3",
        "faces: the registry's challenger is removed",
    ]
    assert registered() == {"champion": "3"}
    assert mien("list")[2] == ""


def test_without_an_answer_of_mlflow_the_folder_is_moved_and_it_says_so(
    mien: Mien, root: Path
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        nobodys = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        status, out, err = mien("promote", "faces", "3", uri=nobodys)
    assert status == 0
    assert "version 3 is served now" in out
    assert "mien: warning: the registry is not in step, `mien models sync` tries again" in err
    assert (root / "serving" / "faces" / "3").is_dir()


def test_sync_says_what_it_registered_and_fails_where_it_cannot(
    mien: Mien, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registering, "_mlflow", lambda root: None)
    monkeypatch.setattr(registry, "register_missing", lambda mlflow, base: [1, 3])
    monkeypatch.setattr(registry, "set_aliases", lambda mlflow, base: [])
    status, _, err = mien("sync")
    assert (status, err) == (
        0,
        "faces: version 1 is registered\nfaces: version 3 is registered\n",
    )

    monkeypatch.setattr(registry, "register_missing", lambda mlflow, base: [])
    assert mien("sync")[:2] == (0, "the registry is in step\n")

    def fail(mlflow: object, base: Path) -> list[int]:
        raise ConnectionError("no route")

    monkeypatch.setattr(registry, "register_missing", fail)
    status, _, err = mien("sync")
    assert status == 1
    assert err.endswith("tries again: faces: no route\n")


def test_a_model_that_cannot_be_registered_keeps_no_other_from_it(
    mien: Mien, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_version(root, "masks", 1)

    def register_missing(mlflow: object, base: Path) -> list[int]:
        if base.name == "faces":
            raise ValueError("torn")
        return [1]

    monkeypatch.setattr(registering, "_mlflow", lambda root: None)
    monkeypatch.setattr(registry, "register_missing", register_missing)
    monkeypatch.setattr(registry, "set_aliases", lambda mlflow, base: [])
    status, _, err = mien("sync")
    assert status == 1
    assert "masks: version 1 is registered\n" in err
    assert err.endswith("tries again: faces: torn\n")


@pytest.mark.xdist_group("registry")
def test_to_look_takes_no_alias_from_another_root_and_to_promote_does(
    mien: Mien, root: Path, registered: Callable[[], dict[str, str]]
) -> None:
    client = mlflow.MlflowClient()
    theirs = client.create_model_version(
        "faces", "file:///theirs", tags={"serving_version": "7", "mien.model_digest": "d7"}
    )
    client.set_registered_model_alias("faces", "champion", theirs.version)
    assert mien("list")[2] == ""
    assert registered() == {"champion": "7", "challenger": "3"}
    settled = registering.move_aliases(root, [root / "serving" / "faces"])
    assert settled == (["faces: the registry's champion is now version 2"], "")


@pytest.mark.parametrize("damage", ["torn", "removed"])
def test_a_version_that_says_not_how_pictures_are_prepared_answers_none(
    root: Path, mien: Mien, damage: str
) -> None:
    manifest = root / "serving" / "faces" / "2" / MANIFEST
    if damage == "torn":
        manifest.write_text(manifest.read_text()[:40])
    else:
        manifest.unlink()
    with pytest.raises(NoModelError, match=f"faces/2: has no {MANIFEST} .* rollback faces"):
        newest_manifest(root, "faces")
    assert mien("rollback", "faces")[0] == 0
    assert newest_manifest(root, "faces")["version"] == 1


@pytest.mark.parametrize("command", [["list"], ["show", "faces"], []])
def test_the_root_may_be_said_before_the_command(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["mien", "models", "--root", str(root), *command])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert "faces" in capsys.readouterr().out
