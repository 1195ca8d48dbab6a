import re

import pytest

from pipelines.environment import PACKAGES, describe_environment, git_commit


def test_the_packages_that_decide_results_have_versions() -> None:
    environment = describe_environment()
    assert set(environment["packages"]) == set(PACKAGES)
    assert all(re.match(r"\d+\.\d+", version) for version in environment["packages"].values())
    assert environment["python"].startswith("3.")


def test_the_commit_is_a_whole_hash_or_unknown() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", git_commit())


def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_commit() == "unknown"
