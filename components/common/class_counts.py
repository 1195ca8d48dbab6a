"""How many images of which class a split has: what a model card says of the data."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from components.common.records import Split


def count_classes(split: Split, labels: Sequence[str]) -> dict[str, Any]:
    """Counts a split.

    Returns:
        `images`; `pictures`, those without the copies that Transform augments; `subjects`, None
        where not all are known; `classes`, the images by label.
    """
    counts = np.bincount(split.labels, minlength=len(labels))
    return {
        "images": len(split),
        # A copy's id is the picture's with `+` and a number: see `components.common.balancing`.
        "pictures": len({example_id.partition("+")[0] for example_id in split.ids}),
        "subjects": len(set(split.subjects)) if all(split.subjects) else None,
        "classes": {label: int(count) for label, count in zip(labels, counts, strict=True)},
    }
