from typing import Any

import pytest

from tuning.space import SpaceError, require_possible


def build(hp: Any) -> None:
    hp.Choice("augment", ["none", "flip"])
    hp.Choice("width", [16, 24])
    hp.Choice("share", [0.25, 1.0])
    hp.Boolean("residual")
    hp.Int("stages", 3, 4)
    hp.Float("rate", 1e-4, 1e-2, sampling="log", default=2e-3)
    hp.Fixed("backbone", "vgg16")
    hp.Fixed("fine_tune", False)


@pytest.mark.parametrize(
    "fixed",
    [
        {},
        {"augment": "flip", "width": 24, "share": 0.25, "residual": True},
        {"share": 1},
        {"stages": 6, "rate": 1e-6},  # Beyond what is searched is possible still.
        {"rate": 1},
        {"backbone": "convnext", "fine_tune": True},
    ],
)
def test_what_a_hypermodel_can_be_built_of_is_possible(fixed: dict[str, Any]) -> None:
    require_possible(build, fixed)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("augment", "rotate", "'rotate' is not possible: one of none, flip"),
        ("augment", True, "True is not possible: one of none, flip"),
        ("width", 20, "20 is not possible: one of 16, 24"),
        ("width", 24.0, "24.0 is not possible: one of 16, 24"),
        ("residual", 1, "1 is not possible: one of True, False"),
        ("stages", "four", "'four' is not possible: a whole number, such as 3"),
        ("stages", 3.5, "3.5 is not possible: a whole number"),
        ("stages", True, "True is not possible: a whole number"),
        ("rate", "1e-3", "'1e-3' is not possible: a number, such as 0.002; YAML reads 1e-3 as"),
        ("rate", False, "False is not possible: a number"),
        ("backbone", 16, "16 is not possible: a text, such as vgg16"),
        ("fine_tune", "yes", "'yes' is not possible: one of True, False"),
        ("stagess", 4, "no such hyperparameter; there are augment, width, "),
    ],
)
def test_what_it_cannot_be_built_of_is_told_with_what_is(
    name: str, value: Any, wanted: str
) -> None:
    with pytest.raises(SpaceError) as told:
        require_possible(build, {"residual": True, name: value})
    assert str(told.value).startswith(f"{name}: {wanted}")
