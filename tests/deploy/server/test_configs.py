from pathlib import Path

import pytest

from deploy.server.configs import Batching, read_batching, read_models
from deploy.server.errors import StartError


def test_the_documented_models_config(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    path.write_text(
        """
        model_config_list {
          config {
            name: 'my_first_model'
            base_path: '/tmp/my_first_model/'
            model_platform: 'tensorflow'
            model_version_policy { specific { versions: 42 versions: 43 } }
            version_labels { key: 'stable' value: 42 }
            version_labels { key: 'canary' value: 43 }
          }
          config {
            name: 'my_second_model'
            base_path: '/tmp/my_second_model/'
            model_platform: 'tensorflow'
          }
        }
        """
    )
    first, second = read_models(path).model_config_list.config
    assert [*first.model_version_policy.specific.versions] == [42, 43]
    assert dict(first.version_labels) == {"stable": 42, "canary": 43}
    assert second.base_path == "/tmp/my_second_model/"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lists no model"),
        ("model_config_list { config { name: 'a' } }", "without name or base_path"),
        ("model_config_list { " + 2 * "config { name: 'a' base_path: 'b' } " + "}", "twice"),
        ("models: 3", "cannot be read: 1:1"),
    ],
)
def test_a_config_that_says_nothing_to_serve_is_refused(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "models.config").write_text(text)
    with pytest.raises(StartError, match=says):
        read_models(tmp_path / "models.config")


def test_the_documented_batching_parameters(tmp_path: Path) -> None:
    path = tmp_path / "batching.txt"
    path.write_text(
        "max_batch_size { value: 128 }\n"
        "batch_timeout_micros { value: 0 }\n"
        "max_enqueued_batches { value: 1000000 }\n"
        "num_batch_threads { value: 8 }\n"
    )
    assert read_batching(path) == Batching(128, 0, 1_000_000, 8)


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    (tmp_path / "batching.txt").write_text("pad_variable_length_inputs: true")
    assert read_batching(tmp_path / "batching.txt") == Batching()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("max_batch_size: 3", "cannot be read"),
        ("max_batch_size { value: 0 }", "must be positive"),
        ("allowed_batch_sizes: 8 allowed_batch_sizes: 4", "must rise"),
        ("max_batch_size { value: 16 } allowed_batch_sizes: 8", "end at max_batch_size"),
    ],
)
def test_impossible_batching_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "batching.txt").write_text(text)
    with pytest.raises(StartError, match=says):
        read_batching(tmp_path / "batching.txt")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"nowhere\.config cannot be read"):
        read_models(tmp_path / "nowhere.config")
