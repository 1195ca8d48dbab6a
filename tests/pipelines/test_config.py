import re
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from components.common.findings import DROPPABLE, KINDS
from pipelines.config import (
    CONFIGS,
    Config,
    ConfigError,
    FaceCropSection,
    ReduceRateSection,
    config_names,
    load_config,
)
from pipelines.parameters import plain
from tfds_builders.catalog import DATASETS


@pytest.mark.parametrize("name", config_names())
def test_every_config_is_valid_and_says_how_it_is_run(name: str) -> None:
    loaded_name, config = load_config(name)
    lines = (CONFIGS / f"{name}.yaml").read_text().splitlines()
    head = list(takewhile(lambda line: line.startswith("#"), lines))
    assert loaded_name == config.pusher.model_name == name
    assert any(f"mien run {name}" in line for line in head)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tuner.max_trails=3", "tuner.max_trails: unknown; did you mean max_trials?"),
        ("trianer.epochs=3", "trianer: unknown; did you mean trainer?"),
        ("transform.face_crop.margn=0", "transform.face_crop.margn: unknown; did you mean margin?"),
        ("tuner.max_trials=many", "tuner.max_trials: 'many' is not possible"),
        ("tuner.max_trials=null", "tuner: max_trials is null: say minutes, or how many trials"),
        ("tuner.max_trials=-1", "tuner.max_trials: -1 is not possible"),
        ("tuner.batch_size=0", "tuner.batch_size: 0 is not possible: say how many images, or auto"),
        ("tuner.batch_size=all", "tuner.batch_size: 'all' is not possible: say how many images"),
        ("tuner.batch_size=true", "tuner.batch_size: True is not possible"),
        ("tuner.minutes=0", "tuner.minutes: 0 is not possible"),
        ("tuner.oracle=tpe", "tuner.oracle: 'tpe' is not possible"),
        ("tuner.hypermodel=resnet", "tuner.hypermodel: 'resnet' is not possible"),
        ("split.test=0.9", "split: train, validation and test must add up to 1, not 1.5"),
        ("split.train=0", "split: train, validation and test must add up to 1"),
        ("split.train=most", "split.train: 'most' is not possible"),
        ("dataset.name=drawn_face", "dataset.name: drawn_face: unknown; did you mean drawn_faces?"),
        ("trainer.epochs", "--set trainer.epochs: wanted KEY=VALUE"),
        ("transform=3", "transform: 3 is not possible: it is a section, with height, width,"),
        ("split=3", "split: 3 is not possible: it is a section, with method, kfold, fold, train,"),
        ("split=", "split: None is not possible"),
        ("transform.face_crop=true", "transform.face_crop: True is not possible: it is a section"),
        ("trainer.epochs='5'", "trainer.epochs: '5' is not possible"),
        ("trainer.epochs=true", "trainer.epochs: True is not possible"),
        ("trainer.epochs=5.0", "trainer.epochs: 5.0 is not possible"),
        ("trainer.reduce_rate=true", "trainer.reduce_rate: True is not possible: it is a section"),
        ("trainer.reduce_rate.factr=1", "trainer.reduce_rate.factr: unknown; did you mean factor?"),
        ("trainer.reduce_rate.factor=1", "trainer.reduce_rate.factor: 1 is not possible"),
        ("trainer.epochs=2024-13-01", "trainer.epochs: '2024-13-01' is not possible"),
        ("split.train=true", "split.train: True is not possible"),
        ("split.method=subjects", "split.method: 'subjects' is not possible: Input should be ''"),
        ("split.kfold=2", "split: kfold is 2: 3 folds or more, or 0 for none"),
        ("split.kfold=-3", "split: kfold is -3: 3 folds or more"),
        ("split.kfold=1001", "split: kfold is 1001"),
        ("split.kfold=3.0", "split.kfold: 3.0 is not possible"),
        ("split.kfold=true", "split.kfold: True is not possible"),
        ("split.fold=0", "split: fold is 0: say kfold, and a fold from 0 to kfold - 1"),
        ("split={kfold: 3, fold: 3}", "split: fold is 3: say kfold, and a fold from 0 to kfold"),
        ("split={kfold: 3, fold: -1}", "split.fold: -1 is not possible"),
        ("example_validator.near_duplicate_bits=17", "near_duplicate_bits: 17 is not possible"),
        ("example_validator.near_duplicate_bits=-1", "near_duplicate_bits: -1 is not possible"),
        ("example_validator.policies=drop", "policies: 'drop' is not possible: it is a section"),
        (
            "example_validator.policies.duplicates=drop",
            "example_validator.policies.duplicates: unknown; did you mean duplicate?",
        ),
        (
            "example_validator.policies.duplicate=ignore",
            "policies.duplicate: 'ignore' is not possible: Input should be 'error', 'warn' or",
        ),
        (
            "example_validator.policies.undecodable=warn",
            "policies.undecodable: 'warn' is not possible: Input should be 'error' or 'drop'",
        ),
        ("example_validator.policies.tiny_class=drop", "policies.tiny_class: 'drop' is not poss"),
        ("example_validator.policies.missing_class=warn", "missing_class: 'warn' is not possible"),
        ("transform.channels=true", "transform.channels: True is not possible"),
        ("transform.channels=2", "transform.channels: 2 is not possible: 1 is gray, 3 is color"),
        ("transform.augmentation.horizontal_flip=1", "horizontal_flip: 1 is not possible"),
        ("transform.augmentation.zoom=1", "transform.augmentation.zoom: 1 is not possible"),
        ("transform.face_crop.detector=har", "transform.face_crop.detector: 'har' is not possible"),
        (
            "transform={balance: {copies: 2}, augmentation: {horizontal_flip: false}}",
            "transform: balance.copies is 2, and nothing in augmentation",
        ),
        ("transform.balance.class_cap=9", "transform.balance: class_cap is 9: say method: cap"),
        ("pusher.model_name=..", "'..' is not possible: say --set pusher.model_name=NAME"),
        ("pusher.model_name=a/b", "pusher.model_name: 'a/b' is not possible"),
        ("pusher.model_name=''", "pusher.model_name: '' is not possible"),
        ("evaluator.thresholds.acuracy=1", "acuracy: unknown; did you mean accuracy?"),
        ("evaluator.thresholds.ece=1.5", "evaluator.thresholds.ece: 1.5 is not possible"),
        ("evaluator.thresholds.majority_accuracy=1", "majority_accuracy: unknown; did you mean"),
        ("evaluator.not_worse_than_champion.macro_f1=-0.01", "macro_f1: -0.01 is not possible"),
        ("evaluator.not_worse_than_champion=0.01", "champion: 0.01 is not possible: it is a sec"),
        ("evaluator.test_time_augmentation=1", "test_time_augmentation: 1 is not possible"),
        ("trainer.calibrate=1", "trainer.calibrate: 1 is not possible"),
    ],
)
def test_an_error_is_one_line_with_key_value_and_cure(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config("drawn_faces", [override])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_config_names_the_closest() -> None:
    with pytest.raises(ConfigError, match="drawn_face: unknown; did you mean drawn_faces"):
        load_config("drawn_face")


def test_overrides_are_yaml_and_the_last_wins() -> None:
    _, config = load_config(
        "drawn_faces", ["trainer.epochs=5", "trainer.epochs=7", "transform.face_crop=null"]
    )
    assert config.trainer.epochs == 7
    assert config.transform.face_crop is None


@pytest.mark.parametrize(
    ("name", "hypermodel", "batch_size", "epochs"),
    [
        ("happy_house", "happy_model", 16, 40),
        ("happy_or_sad", "emoji_cnn", 10, 20),
        ("fer2013", "fer_cnn", 64, 100),
        ("ck_plus_transfer", "transfer", 20, 20),
        ("ck_plus_augmented", "transfer", 32, 10),
    ],
)
def test_a_config_of_an_experiment_takes_its_network_and_its_training(
    name: str, hypermodel: str, batch_size: int, epochs: int
) -> None:
    _, config = load_config(name)
    assert (config.tuner.hypermodel, config.tuner.max_trials) == (hypermodel, 0)
    assert (config.tuner.batch_size, config.trainer.epochs) == (batch_size, epochs)


def test_the_rate_of_fer2013_is_reduced_and_a_config_on_top_may_leave_that_out() -> None:
    assert load_config("fer2013")[1].parameters()["trainer"]["reduce_rate"] == {
        "monitor": "val_loss",
        "factor": 0.1,
        "patience": 2,
        "min_rate": 0.00001,
    }
    assert "reduce_rate" not in load_config("fer2013_small")[1].parameters()["trainer"]


def test_the_transfer_of_ck_plus_is_the_experiments() -> None:
    transfer = load_config("ck_plus_transfer")[1]
    assert (transfer.trainer.patience, transfer.trainer.monitor) == (None, "val_loss")
    augmented = load_config("ck_plus_augmented")[1]
    assert augmented.tuner.fixed == transfer.tuner.fixed
    assert augmented.trainer.patience == 3
    reduced = augmented.trainer.reduce_rate
    assert reduced is not None
    assert (reduced.monitor, reduced.factor, reduced.patience) == ("val_loss", 0.1, 5)
    changes = augmented.transform.augmentation
    assert (changes.rotation, changes.shift, changes.horizontal_flip) == (50, 0.2, True)
    assert (changes.zoom, changes.brightness) == (0, 0)


def test_an_integer_is_a_float_too_and_a_list_stays_one() -> None:
    _, config = load_config(
        "drawn_faces", ["transform.face_crop.margin=1", "dataset.options.strength=[0, 1]"]
    )
    assert config.transform.face_crop
    assert config.transform.face_crop.margin == 1.0
    assert config.dataset.options["strength"] == [0, 1]


def test_thresholds_are_of_the_metrics_of_a_model() -> None:
    from components.common.evaluation.metrics import METRICS, NOT_OF_A_MODEL

    evaluator = load_config("drawn_faces")[1].evaluator
    names = METRICS.keys() - NOT_OF_A_MODEL
    assert set(type(evaluator.thresholds).model_fields) == names
    assert set(type(evaluator.not_worse_than_champion).model_fields) == names


def test_the_baseline_sees_no_picture_that_could_be_mirrored() -> None:
    with pytest.raises(ConfigError, match="test_time_augmentation: the baseline sees no picture"):
        load_config("facial_expressions_svm", ["evaluator.test_time_augmentation=true"])
    with pytest.raises(ConfigError, match="the baseline is never pushed, and has no champion"):
        load_config("ck_plus_svm", ["evaluator.not_worse_than_champion.accuracy=0"])


def test_every_dataset_has_a_config_of_its_name_and_every_config_a_dataset() -> None:
    of_config = {name: load_config(name)[1].dataset.name for name in config_names()}
    assert set(of_config.values()) <= set(DATASETS)
    assert {name: of_config.get(name) for name in DATASETS} == {name: name for name in DATASETS}


def test_every_kind_of_finding_has_a_policy_and_drops_only_what_can_be_dropped() -> None:
    policies = load_config("drawn_faces")[1].example_validator.policies
    assert set(policies.model_dump()) == set(KINDS)
    for kind in KINDS:
        override = f"example_validator.policies.{kind}=drop"
        if kind in DROPPABLE:
            _, config = load_config("drawn_faces", [override])
            assert config.parameters()["example_validator"]["policies"][kind] == "drop"
        else:
            with pytest.raises(ConfigError, match=f"{kind}: 'drop' is not possible"):
                load_config("drawn_faces", [override])


@pytest.mark.parametrize("method", ["auto", "official", "random", "stratified", "subject"])
def test_a_method_that_is_said_wins_over_the_datasets_own(method: str) -> None:
    _, config = load_config("drawn_faces", [f"split.method={method}"])
    assert config.split.method == method


@pytest.mark.parametrize("folds", [0, 3, 1000])
def test_so_many_folds_are_possible(folds: int) -> None:
    _, config = load_config("drawn_faces", [f"split.kfold={folds}"])
    assert (config.split.kfold, config.split.fold) == (folds, None)
    assert "fold" not in config.parameters()["split"]


def test_one_fold_alone() -> None:
    _, config = load_config("drawn_faces", ["split.kfold=3", "split.fold=2"])
    assert config.parameters()["split"]["fold"] == 2


def test_all_in_train_leaves_nothing_to_the_others() -> None:
    _, config = load_config("happy_or_sad", ["split.train=1"])
    assert (config.split.train, config.split.validation, config.split.test) == (1, 0, 0)
    assert config.split.method == "stratified"


def test_a_users_file_extends_a_config(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: happy_or_sad\ntrainer: {epochs: 3}\n")
    name, config = load_config(str(mine))
    assert name == config.pusher.model_name == "mine"
    assert config.trainer.epochs == 3
    assert config.trainer.stop_at_accuracy == 0.999


def test_what_a_file_extends_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "base.yaml").write_text("extends: happy_or_sad\ntrainer: {epochs: 3}\n")
    (folder / "mine.yaml").write_text("extends: base.yaml\n")
    (tmp_path / "base.yaml").write_text("extends: drawn_faces\n")
    monkeypatch.chdir(tmp_path)
    _, config = load_config("configs/mine.yaml")
    assert (config.dataset.name, config.trainer.epochs) == ("happy_or_sad", 3)


def test_a_file_whose_name_is_no_models_needs_one(tmp_path: Path) -> None:
    mine = tmp_path / "my tiny.yaml"
    mine.write_text("extends: drawn_faces\n")
    with pytest.raises(ConfigError, match="'my tiny' is not possible: say --set"):
        load_config(str(mine))
    name, config = load_config(str(mine), ["pusher.model_name=my_tiny"])
    assert (name, config.pusher.model_name) == ("my tiny", "my_tiny")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: MINE", "extends itself"),
        ("extends: ../FOLDER/mine.yaml", "extends itself"),
        ("extends: 3", "extends: 3: wanted a config's name, or a YAML file"),
        ("extends: base.yaml", r"FOLDER/base\.yaml: there is no such file"),
        ("seed: 2024-13-01", "not YAML: month must be"),
        ("a: [", "not YAML"),
        ("- 3", "wanted sections"),
        ("trainer: {epochs: 3}", "dataset: missing"),
    ],
)
def test_a_file_that_is_no_config(tmp_path: Path, text: str, message: str) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(text.replace("MINE", str(mine)).replace("FOLDER", tmp_path.name))
    with pytest.raises(ConfigError, match=message.replace("FOLDER", tmp_path.name)):
        load_config(str(mine))


def test_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: there is no such file"):
        load_config("nowhere.yaml")


def test_parameters_survive_kfp_which_knows_only_floats() -> None:
    assert plain({"a": 3.0, "b": [0.5, {"c": 1.0}], "d": "x", "e": True}) == {
        "a": 3,
        "b": [0.5, {"c": 1}],
        "d": "x",
        "e": True,
    }
    assert isinstance(plain({"a": 3.0})["a"], int)


def test_a_dataset_is_all_that_a_config_must_say(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("dataset: {name: drawn_faces}\n")
    name, config = load_config(str(tmp_path / "mine.yaml"))
    assert (name, config.tuner.hypermodel) == ("mine", "expression_net")


def test_the_documentation_has_every_key_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "configs.md").read_text()
    config, face_crop, reduce_rate = map(
        yaml.safe_load, re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    )
    least = {"dataset": {"name": "drawn_faces"}, "pusher": {"model_name": "drawn_faces"}}
    assert config == Config.model_validate(least).model_dump(mode="json")
    assert face_crop == FaceCropSection().model_dump(mode="json")
    assert reduce_rate == ReduceRateSection().model_dump(mode="json")
