from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.files import file_digests, write_json
from components.common.publishing import serving
from components.common.publishing.serving import (
    HELD,
    MANIFEST,
    VersionError,
    damage,
    promote,
    read_versions,
    roll_back,
)


def write_version(folder: Path) -> None:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_text(f"graph of {folder.name}")
    (folder / "variables" / "variables.index").write_text("w")
    write_json(folder / MANIFEST, {"version": int(folder.name), "files": file_digests(folder)})


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Versions 1, 2 and 3 of a model, and 4 held back."""
    for number in (1, 2, 3):
        write_version(tmp_path / "faces" / str(number))
    write_version(tmp_path / "faces" / HELD / "4")
    return tmp_path / "faces"


def lying(base: Path) -> tuple[list[int], ...]:
    return tuple(list(versions) for versions in read_versions(base))


def test_the_highest_is_the_champion_and_the_newest_held_the_challenger(base: Path) -> None:
    versions = read_versions(base)
    assert (versions.champion, versions.challenger) == (3, 4)
    assert list(versions.folders()) == [1, 2, 3, 4]


def test_a_number_that_no_server_can_hold_is_no_version(base: Path) -> None:
    (base / "20261122094500123456").mkdir()
    assert read_versions(base).champion == 3


def test_a_model_that_was_never_pushed_has_no_versions(tmp_path: Path) -> None:
    versions = read_versions(tmp_path / "none")
    assert (versions.champion, versions.challenger, versions.folders()) == (None, None, {})


@pytest.mark.parametrize(
    ("version", "published", "held", "withdrawn"),
    [
        (4, [1, 2, 3, 4], [], []),
        (3, [1, 2, 3], [4], []),
        (2, [1, 2], [4], [3]),
        (1, [1], [4], [2, 3]),
    ],
)
def test_a_promoted_version_is_the_highest_that_a_server_finds(
    base: Path, version: int, published: list[int], held: list[int], withdrawn: list[int]
) -> None:
    promote(base, version)
    assert lying(base) == (published, held, withdrawn)
    assert (base / str(version) / "saved_model.pb").read_text() == f"graph of {version}"


def test_what_was_withdrawn_comes_back_and_is_no_challenger(base: Path) -> None:
    promote(base, 1)
    promote(base, 2)
    assert lying(base) == ([1, 2], [4], [3])
    promote(base, 4)
    assert lying(base) == ([1, 2, 4], [], [3])
    assert read_versions(base).challenger is None


def test_rolling_back_twice_goes_back_two_versions_and_no_further(base: Path) -> None:
    assert roll_back(base) == 2
    assert roll_back(base) == 1
    with pytest.raises(VersionError, match="no version to go back to: 1 is the only one"):
        roll_back(base)
    assert lying(base) == ([1], [4], [2, 3])


def test_the_champion_stays_served_until_the_last_of_the_moves(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    champions = []
    withdraw: Callable[[Path, int], None] = serving.withdraw

    def watched(base: Path, version: int) -> None:
        champions.append(read_versions(base).champion)
        withdraw(base, version)

    monkeypatch.setattr(serving, "withdraw", watched)
    promote(base, 1)
    assert champions == [3, 3]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "saved_model.pb").unlink(), "saved_model.pb is not there"),
        (lambda folder: (folder / "saved_model.pb").write_text("graph of x"), "saved_model.pb is"),
        (lambda folder: (folder / "variables" / "variables.index").unlink(), "variables.index is"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "mien_manifest.json cannot be read"),
        (lambda folder: write_json(folder / MANIFEST, {}), "mien_manifest.json cannot be read"),
    ],
)
def test_a_damaged_version_is_not_promoted_nor_rolled_back_to(
    base: Path, harm: Callable[[Path], object], said: str
) -> None:
    harm(base / "2")
    assert said in damage(base / "2")
    for move in (lambda: promote(base, 2), lambda: roll_back(base)):
        with pytest.raises(VersionError, match=r"version 2 is not served: .*push that model again"):
            move()
    assert lying(base) == ([1, 2, 3], [4], [])


def test_a_version_without_a_manifest_is_another_makers_and_can_be_promoted(base: Path) -> None:
    (base / "1" / MANIFEST).unlink()
    promote(base, 1)
    assert read_versions(base).champion == 1


def test_a_text_that_a_person_adds_is_no_damage(base: Path) -> None:
    (base / "2" / "model_card.md").write_text("we looked at it")
    assert damage(base / "2") == ""


def test_a_version_that_is_not_there_is_named_with_those_that_are(base: Path) -> None:
    with pytest.raises(VersionError, match="faces has no version 9; there are: 1, 2, 3, 4"):
        promote(base, 9)
