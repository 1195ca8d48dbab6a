"""Configs: YAML files, validated; an error names the key, the value and the cure in one line."""

import difflib
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipelines.errors import UsageError
from tfds_builders.catalog import DATASETS
from tuning.hypermodels import HYPERMODELS

CONFIGS = Path(__file__).parent / "configs"

Share = Annotated[float, Field(ge=0, le=1)]


class ConfigError(UsageError):
    """A config that cannot be run; the message is for a person."""


class Section(BaseModel):
    """A section of a config: no unknown keys, no silent change of a type but int to float."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())


class DatasetSection(Section):
    """Which data: a builder and its options."""

    name: str
    options: dict[str, Any] = {}


class SplitSection(Section):
    """How examples are assigned; validation and test share what train leaves, unless said.

    With `kfold` the shares and the method count for nothing: one fold is tested on, the next one
    validated on. Without `fold`, `mien run` runs all folds.
    """

    method: Literal["", "auto", "official", "random", "stratified", "subject"] = ""
    kfold: int = 0
    fold: int | None = Field(None, ge=0)
    train: Share = 0.7
    validation: Share = 0.0
    test: Share = 0.0
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _share_the_rest(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values  # for the section's own error
        given = {name: values[name] for name in ("train", "validation", "test") if name in values}
        if not all(isinstance(value, int | float) for value in given.values()):
            return values  # for the field's own error
        shares = {"train": 0.7, **given}
        missing = [name for name in ("validation", "test") if name not in given]
        rest = max(0.0, 1 - sum(shares.values()))
        return values | shares | {name: round(rest / len(missing), 6) for name in missing}

    @model_validator(mode="after")
    def _folds_there_are(self) -> "SplitSection":
        if self.kfold and not 3 <= self.kfold <= 1000:
            raise ValueError(f"kfold is {self.kfold}: 3 folds or more, or 0 for none")
        if self.fold is not None and self.fold >= self.kfold:
            raise ValueError(f"fold is {self.fold}: say kfold, and a fold from 0 to kfold - 1")
        return self

    @model_validator(mode="after")
    def _together_one(self) -> "SplitSection":
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6 or not self.train:
            raise ValueError(f"train, validation and test must add up to 1, not {total:g}")
        return self


Policy = Literal["error", "warn", "drop"]
NoDrop = Literal["error", "warn"]


class PoliciesSection(Section):
    """What is done about each kind of anomaly: stop the run, say so, or leave the picture out."""

    undecodable: Literal["error", "drop"] = "drop"
    blank: Policy = "warn"
    no_face: Policy = "warn"
    size_outlier: Policy = "warn"
    brightness_outlier: Policy = "warn"
    conflicting_labels: Policy = "warn"
    duplicate_across_splits: Policy = "error"
    duplicate: Policy = "warn"
    near_duplicate_across_splits: Policy = "warn"
    near_duplicate: Policy = "warn"
    subject_across_splits: NoDrop = "error"
    missing_class: Literal["error"] = "error"
    tiny_class: NoDrop = "warn"
    label_names: NoDrop = "error"


class ExampleValidatorSection(Section):
    """What counts as an anomaly, and what is done about it."""

    min_class_size: int = Field(10, ge=1)
    blank_std: float = Field(2.0, ge=0)
    near_duplicate_bits: int = Field(4, ge=0, le=16)
    policies: PoliciesSection = PoliciesSection()


class FaceCropSection(Section):
    """How a face is found and cropped: see `components.common.pictures.faces.FaceCrop`."""

    detector: Literal["haar", "haar_tolerant", "mtcnn"] = "haar"
    min_size: int = Field(30, ge=5)
    margin: float = Field(0.0, ge=0, le=1)
    if_none: Literal["reject", "whole_image"] = "reject"
    if_several: Literal["reject", "largest"] = "reject"
    align: bool = False


class AugmentationSection(Section):
    """What copies differ in: see `components.common.pictures.augmentation.Augmentation`."""

    rotation: float = Field(0.0, ge=0, le=180)
    shift: float = Field(0.0, ge=0, le=0.5)
    zoom: float = Field(0.0, ge=0, lt=1)
    horizontal_flip: bool = False
    brightness: Share = 0.0
    contrast: Share = 0.0
    cutout: Share = 0.0
    seed: int = 0


class BalanceSection(Section):
    """How many train examples there shall be: see `components.common.balancing.Balance`."""

    copies: int = Field(0, ge=0)
    method: Literal["none", "oversample", "cap"] = "none"
    class_cap: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _cap_is_used(self) -> "BalanceSection":
        if self.class_cap and self.method != "cap":
            raise ValueError(f"class_cap is {self.class_cap}: say method: cap, or leave it out")
        return self


class TransformSection(Section):
    """What is done to each picture, and to the train split."""

    height: int = Field(48, ge=8, le=1024)
    width: int = Field(48, ge=8, le=1024)
    channels: int = 1
    face_crop: FaceCropSection | None = None
    landmarks: Literal["none", "pixels", "scale_free"] = "none"
    augmentation: AugmentationSection = AugmentationSection()
    balance: BalanceSection = BalanceSection()

    @model_validator(mode="after")
    def _copies_differ(self) -> "TransformSection":
        unchanged = AugmentationSection(seed=self.augmentation.seed)
        if self.balance.copies and self.augmentation == unchanged:
            raise ValueError(
                f"balance.copies is {self.balance.copies}, and nothing in augmentation makes "
                "them differ: say horizontal_flip: true there"
            )
        return self

    @field_validator("channels")
    @classmethod
    def _gray_or_color(cls, channels: int) -> int:
        if channels not in (1, 3):  # A Literal would take true for 1.
            raise ValueError("1 is gray, 3 is color")
        return channels


class TunerSection(Section):
    """What is searched, and how."""

    hypermodel: Literal[HYPERMODELS] = "expression_net"  # type: ignore[valid-type]
    oracle: Literal["random", "bayesian", "hyperband", "grid"] = "random"
    objective: Literal["val_accuracy", "val_loss", "val_macro_f1"] = "val_accuracy"
    max_trials: int | None = Field(10, ge=0)
    minutes: float | None = Field(None, gt=0)
    workers: int = Field(1, ge=1)
    epochs: int = Field(10, ge=1)
    patience: int | None = Field(None, ge=1)
    batch_size: int | Literal["auto"] = 32
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    seed: int = 0
    fixed: dict[str, int | float | str | bool] = {}
    results: str | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> "TunerSection":
        if self.max_trials is None and self.minutes is None:
            raise ValueError("max_trials is null: say minutes, or how many trials")
        return self

    @field_validator("batch_size", mode="before")
    @classmethod
    def _number_or_auto(cls, batch_size: Any) -> Any:
        if batch_size != "auto" and (type(batch_size) is not int or batch_size < 1):
            raise ValueError("say how many images, or auto: as many as a GPU holds")
        return batch_size


class ReduceRateSection(Section):
    """When the learning rate is reduced: see `tuning.training.rules.ReduceRateRule`."""

    monitor: Literal["val_loss", "val_accuracy", "val_macro_f1", "loss"] = "val_loss"
    factor: float = Field(0.1, gt=0, lt=1)
    patience: int = Field(2, ge=1)
    min_rate: float = Field(0.00001, ge=0)


class TrainerSection(Section):
    """How long is trained, at which rate, and which epoch is kept."""

    epochs: int = Field(20, ge=1)
    stop_at_accuracy: float | None = Field(None, gt=0, le=1)
    patience: int | None = Field(None, ge=1)
    monitor: Literal["val_accuracy", "val_loss", "val_macro_f1"] = "val_accuracy"
    reduce_rate: ReduceRateSection | None = None
    calibrate: bool = False
    seed: int = 0


Bound = Annotated[float, Field(ge=0, le=1)] | None
LossBound = Annotated[float, Field(ge=0)] | None


class ThresholdsSection(Section):
    """Value thresholds: a lower bound for each, for log_loss and ece an upper one."""

    accuracy: Bound = None
    balanced_accuracy: Bound = None
    macro_f1: Bound = None
    log_loss: LossBound = None
    roc_auc: Bound = None
    top_2: Bound = None
    cohen_kappa: float | None = Field(None, ge=-1, le=1)
    ece: Bound = None


class NotWorseSection(Section):
    """Change thresholds: by how much each metric may be worse than the champion's."""

    accuracy: Bound = None
    balanced_accuracy: Bound = None
    macro_f1: Bound = None
    log_loss: LossBound = None
    roc_auc: Bound = None
    top_2: Bound = None
    cohen_kappa: Bound = None
    ece: Bound = None


class EvaluatorSection(Section):
    """What the verdict rests on, and of what: see `components.evaluator`."""

    thresholds: ThresholdsSection = ThresholdsSection()
    not_worse_than_champion: NotWorseSection = NotWorseSection()
    test_time_augmentation: bool = False
    resamples: int = Field(1000, ge=0)
    seed: int = 0


class InfraValidatorSection(Section):
    """How the export is tried."""

    examples: int = Field(16, ge=1)
    tolerance: float = Field(1e-5, ge=0)


class PusherSection(Section):
    """Where a blessed model goes: served as the champion, or held back as its challenger.

    Its name is the config's unless said.
    """

    model_name: str
    alias: Literal["champion", "challenger"] = "champion"

    @field_validator("model_name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
            raise ValueError(
                "say --set pusher.model_name=NAME, of A-Z, a-z, 0-9, _, . and -, "
                "the last two not in front"
            )
        return name


class BaselineSection(Section):
    """What is searched of the landmark SVM, and how: see `components.baseline`."""

    kernels: list[Literal["linear", "poly"]] = Field(["linear"], min_length=1)
    oracle: Literal["random", "bayesian", "grid"] = "random"
    objective: Literal["val_accuracy", "val_macro_f1", "val_loss"] = "val_accuracy"
    max_trials: int = Field(0, ge=0)
    seed: int = 0


ONLY_IN = {
    "training": {"tuner", "trainer", "infra_validator", "pusher"},
    "baseline": {"baseline"},
}
"""The sections that one pipeline alone takes."""


class Config(Section):
    """A run of a pipeline, whole; a section that another pipeline takes counts for nothing."""

    pipeline: Literal["training", "baseline"] = "training"
    dataset: DatasetSection
    split: SplitSection = Field(default_factory=lambda: SplitSection())
    example_validator: ExampleValidatorSection = ExampleValidatorSection()
    transform: TransformSection = Field(TransformSection(), validate_default=True)
    tuner: TunerSection = TunerSection()
    trainer: TrainerSection = TrainerSection()
    baseline: BaselineSection = BaselineSection()
    evaluator: EvaluatorSection = EvaluatorSection()
    infra_validator: InfraValidatorSection = InfraValidatorSection()
    pusher: PusherSection
    beam: dict[str, Any] = {"runner": "DirectRunner"}

    def parameters(self) -> dict[str, Any]:
        """The pipeline's parameters: a dict a section, without the None that KFP does not know."""
        of_others = set(chain(*(ONLY_IN[name] for name in ONLY_IN if name != self.pipeline)))
        return self.model_dump(mode="json", exclude_none=True, exclude={"pipeline", *of_others})

    @field_validator("transform")
    @classmethod
    def _baseline_has_landmarks(
        cls, transform: TransformSection, info: ValidationInfo
    ) -> TransformSection:
        if info.data.get("pipeline") == "baseline" and transform.landmarks == "none":
            raise ValueError(
                "landmarks is none, and the baseline sees nothing else: "
                "say transform.landmarks=scale_free"
            )
        return transform

    @field_validator("evaluator")
    @classmethod
    def _baseline_is_asked_what_it_can(
        cls, evaluator: EvaluatorSection, info: ValidationInfo
    ) -> EvaluatorSection:
        if info.data.get("pipeline") != "baseline":
            return evaluator
        if evaluator.test_time_augmentation:
            raise ValueError("test_time_augmentation: the baseline sees no picture to mirror")
        if evaluator.not_worse_than_champion.model_dump(exclude_none=True):
            raise ValueError(
                "not_worse_than_champion: the baseline is never pushed, and has no champion"
            )
        return evaluator


def config_names() -> list[str]:
    """The configs that come with mien."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def load_config(name: str, overrides: Sequence[str] = ()) -> tuple[str, Config]:
    """Reads, extends, overrides and validates a config; returns its name and the config.

    Args:
        name: of a config that comes with mien, or the path of a YAML file.
        overrides: `key.key=value`, the value as YAML has it.

    Raises:
        ConfigError: in one line, which key has which value and what would be right.
    """
    path = _find(name, beside=Path())
    values = _merge({"pusher": {"model_name": path.stem}}, _read_extended(path, seen=()))
    for override in overrides:
        values = _merge(values, _parse_override(override))
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_describe(error)) from None
    return path.stem, _with_datasets_split(config)


def _with_datasets_split(config: Config) -> Config:
    """Fills in how the dataset is split where the config does not say."""
    dataset = DATASETS.get(config.dataset.name)
    if dataset is None:
        raise ConfigError(_unknown("dataset.name", config.dataset.name, DATASETS))
    method = config.split.method or dataset.default_split
    split = config.split.model_copy(update={"method": method})
    return config.model_copy(update={"split": split})


def _find(name: str, beside: Path) -> Path:
    """The file of a config that comes with mien, or a user's own, looked up in a folder."""
    if name in config_names():
        return CONFIGS / f"{name}.yaml"
    path = beside / name
    if path.suffix in {".yaml", ".yml"}:
        if path.is_file():
            return path
        raise ConfigError(f"{path}: there is no such file")
    raise ConfigError(_unknown("config", name, config_names()))


def _read_extended(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The values of a file on top of those of the config that it extends."""
    if path.resolve() in seen:
        raise ConfigError(f"{path}: extends itself")
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: wanted sections such as `dataset:`, found {values!r}")
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise ConfigError(f"{path}: extends: {parent!r}: wanted a config's name, or a YAML file")
    extended = _read_extended(_find(parent, beside=path.parent), (*seen, path.resolve()))
    return _merge(extended, values)


def _merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        inner = merged.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            value = _merge(inner, value)
        merged[key] = value
    return merged


def _parse_override(override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: wanted KEY=VALUE, e.g. trainer.epochs=5")
    try:
        value: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # The latter for a date such as 2024-13-01.
        value = text
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _describe(error: ValidationError) -> str:
    """One line for the first error, and how many more there are."""
    first, *others = error.errors()
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        text = _unknown(key, first["loc"][-1], _known_keys(first["loc"][:-1]))
    elif first["type"] == "missing":
        text = f"{key}: missing; it has no default"
    elif first["type"] == "model_type":
        keys = ", ".join(_known_keys(first["loc"]))
        text = f"{key}: {first['input']!r} is not possible: it is a section, with {keys}"
    else:
        message = first["msg"].removeprefix("Value error, ")
        text = f"{key}: {first['input']!r} is not possible: {message}"
        if isinstance(first["input"], Mapping):
            text = f"{key}: {message}"
    return text + (f" (and {len(others)} more errors)" if others else "")


def _known_keys(section: tuple[Any, ...]) -> list[str]:
    model: Any = Config
    for name in section:
        annotation = model.model_fields[name].annotation
        inner = getattr(annotation, "__args__", (annotation,))  # `FaceCropSection | None`
        model = next(kind for kind in inner if isinstance(kind, type) and issubclass(kind, Section))
    return list(model.model_fields)


def _unknown(key: str, name: Any, known: Any) -> str:
    subject = key if str(name) in key else f"{key}: {name}"
    close = difflib.get_close_matches(str(name), list(known), n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"{subject}: unknown; {hint}"
