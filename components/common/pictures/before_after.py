"""The sheet of Transform: pictures, and what became of them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.common import figures
from components.common.examples import Example, read_images
from components.common.pictures import landmarks
from components.common.pictures.applying import apply_recipe, decode_for
from components.common.pictures.augmentation import Augmentation, augment, draw
from components.common.recipe import Recipe

COLUMNS = 8


def draw_before_after(
    path: Path,
    examples: Path,
    table: Sequence[Example],
    reasons: Mapping[str, str],
    recipe: Recipe,
    augmentation: Augmentation | None,
) -> None:
    """Draws train pictures, what becomes of them, a copy of each; and the rejected by reason.

    Args:
        path: of the PNG.
        examples: the examples.
        table: their rows.
        reasons: why examples were rejected, by id.
        recipe: what is done to each picture.
        augmentation: what the copies differ in; None: there are none.
    """
    kept = [i for i, row in enumerate(table) if row.split == "train" and row.id not in reasons]
    before = _decoded(examples, table, kept[:COLUMNS], recipe)
    after = [apply_recipe(image, recipe) for image in before]
    sheet = {"before": before, "after": after}
    if recipe.landmarks != "none":
        sheet["landmarks"] = [landmarks.drawn(pixels) for pixels in after]
    if augmentation:
        names = [table[i].id for i in kept]
        sheet["a copy"] = [
            augment(pixels, draw(augmentation, name, 1))
            for name, pixels in zip(names, after, strict=False)
        ]
    for reason in sorted(set(reasons.values()) - {"undecodable"}):
        of_reason = (i for i, row in enumerate(table) if reasons.get(row.id) == reason)
        sheet[reason] = _decoded(examples, table, islice(of_reason, COLUMNS), recipe)
    figures.contact_sheet(sheet, path, columns=COLUMNS)


def _decoded(
    examples: Path, table: Sequence[Example], indices: Iterable[int], recipe: Recipe
) -> list[NDArray[np.uint8]]:
    pictures = read_images(examples, table, list(indices))
    return [decode_for(recipe, encoded) for _, encoded in pictures]
