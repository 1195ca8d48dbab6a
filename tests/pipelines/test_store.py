from pathlib import Path

import pytest

from components.common.publishing.serving import HELD
from pipelines import store
from pipelines.store import Cause, Execution

OUTPUTS = {"model": "system.Model"}


def cause(**changes: object) -> Cause:
    values = {
        "pipeline": "tiny",
        "step": "trainer",
        "code": {"components.trainer": "c0"},
        "parameters": {"trainer": {"epochs": 3}},
        "inputs": {"examples": "e0"},
    }
    return Cause(**{**values, **changes})  # type: ignore[arg-type]


def make(folder: Path, of: Cause, text: str = "weights", **metadata: object) -> Execution:
    part = store.staging(folder, of, OUTPUTS)
    (part / "model").mkdir()
    (part / "model" / "weights").write_text(text)
    made_by = {"run": "r1", "mlflow_run": "m1"}
    return store.publish(folder, of, {"model": metadata}, seconds=1.0, made_by=made_by)


def test_what_was_published_is_found_with_its_digest_and_metadata(tmp_path: Path) -> None:
    made = make(tmp_path, cause(), epochs=3)
    found, reason = store.find(tmp_path, cause())
    assert found == made
    assert reason == ""
    assert found.metadata("model") == {"epochs": 3}
    assert (found.output("model") / "weights").read_text() == "weights"


def test_the_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    first = make(tmp_path, cause())
    same = make(tmp_path, cause(parameters={"trainer": {"epochs": 4}}))
    other = make(tmp_path, cause(parameters={"trainer": {"epochs": 5}}), text="others")
    assert first.digest("model") == same.digest("model") != other.digest("model")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"parameters": {"trainer": {"epochs": 2}}}, "parameter trainer.epochs was 3, is 2"),
        ({"inputs": {"examples": "e1"}}, "input examples changed"),
        ({"code": {"components.trainer": "c1"}}, "code changed: components.trainer"),
        (
            {"code": dict.fromkeys("abcde", "c1") | {"components.trainer": "c0"}},
            "code changed: a, b, c, 2 more modules",
        ),
        ({"pipeline": "another"}, ""),
    ],
)
def test_a_miss_says_what_changed(tmp_path: Path, changes: dict[str, object], why: str) -> None:
    make(tmp_path, cause())
    found, reason = store.find(tmp_path, cause(**changes))
    assert reason == why
    assert bool(found) == (why == "")


def test_the_first_run_says_so(tmp_path: Path) -> None:
    assert store.find(tmp_path, cause()) == (None, "first run")


@pytest.mark.parametrize("damage", ["changed", "truncated", "removed", "added"])
def test_a_damaged_output_is_not_reused(tmp_path: Path, damage: str) -> None:
    weights = make(tmp_path, cause()).output("model") / "weights"
    match damage:
        case "changed":
            weights.write_text("WEIGHTS")
        case "truncated":
            weights.write_text("weig")
        case "removed":
            weights.unlink()
        case "added":
            weights.with_name("more").write_text("")
    found, reason = store.find(tmp_path, cause())
    assert found is None
    assert reason == "its stored output was damaged: model is not what was written"
    make(tmp_path, cause())
    assert store.find(tmp_path, cause())[0]


def test_a_truncated_manifest_is_damage_too(tmp_path: Path) -> None:
    manifest = make(tmp_path, cause()).folder / "manifest.json"
    manifest.write_text(manifest.read_text()[:100])
    assert "damaged" in store.find(tmp_path, cause())[1]


def test_a_published_folder_outside_is_verified_like_the_rest(tmp_path: Path) -> None:
    version = tmp_path / "serving" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_text("graph")
    make(tmp_path, cause(), version_dir=str(version))
    assert store.find(tmp_path, cause())[0]
    (version / "saved_model.pb").write_text("grap")
    assert store.find(tmp_path, cause()) == (
        None,
        f"the version that it pushed, {version}, is gone or changed",
    )


def test_a_killed_execution_keeps_its_checkpoints_and_not_its_outputs(tmp_path: Path) -> None:
    part = store.staging(tmp_path, cause(), OUTPUTS)
    (part / "model").mkdir()
    (part / "model" / "half").write_text("")
    (part / "model.work").mkdir()
    (part / "model.work" / "epoch-1").write_text("")

    assert store.find(tmp_path, cause())[0] is None
    part = store.staging(tmp_path, cause(), OUTPUTS)
    assert sorted(path.name for path in part.rglob("*")) == ["epoch-1", "model.work"]
    made = make(tmp_path, cause())
    assert sorted(path.name for path in made.folder.iterdir()) == ["manifest.json", "model"]


@pytest.mark.parametrize("text", ["", "{}", '{"cause": {}}'])
def test_a_manifest_of_a_killed_execution_explains_nothing(tmp_path: Path, text: str) -> None:
    part = store.staging(tmp_path, cause(), OUTPUTS)
    (part / "manifest.json").write_text(text)
    assert store.find(tmp_path, cause()) == (None, "first run")


def test_killed_while_an_execution_was_removed(tmp_path: Path) -> None:
    made = make(tmp_path, cause())
    (made.folder / "manifest.json").unlink()
    make(tmp_path, cause())
    assert store.find(tmp_path, cause())[0]


def test_a_full_disk_at_the_end_keeps_the_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = store.staging(tmp_path, cause(), OUTPUTS)
    (part / "model.work").mkdir()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        make(tmp_path, cause())
    assert (part / "model.work").exists()


def test_a_version_that_is_not_the_newest_any_more_is_pushed_again(tmp_path: Path) -> None:
    version = tmp_path / "serving" / "1"
    version.mkdir(parents=True)
    make(tmp_path, cause(), version_dir=str(version))
    (tmp_path / "serving" / "2").mkdir()
    assert store.find(tmp_path, cause()) == (None, "version 2 was pushed after its version 1")


def test_a_version_that_is_held_back_need_not_be_the_newest(tmp_path: Path) -> None:
    version = tmp_path / "serving" / HELD / "1"
    version.mkdir(parents=True)
    make(tmp_path, cause(), version_dir=str(version))
    version.with_name("2").mkdir()
    assert store.find(tmp_path, cause())[0]


def test_a_manifest_that_cannot_be_read_costs_no_other_execution(tmp_path: Path) -> None:
    whole = make(tmp_path, cause())
    (make(tmp_path, cause(inputs={})).folder / "manifest.json").write_text('{"cause": ')
    other = cause(parameters={"trainer": {"epochs": 2}})
    assert store.find(tmp_path, other) == (None, "parameter trainer.epochs was 3, is 2")
    assert store.executions(tmp_path, "trainer") == [whole.folder]


def test_killed_between_the_manifest_and_the_rename(tmp_path: Path) -> None:
    make(tmp_path, cause()).folder.rename(tmp_path / "trainer" / f"{cause().key}.part")
    assert store.find(tmp_path, cause())[0] is None
    make(tmp_path, cause())
    assert store.find(tmp_path, cause())[0]
