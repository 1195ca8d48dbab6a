"""The model card: what a pushed version is, how good, and what it must not be used for.

The headings are those of Mitchell et al. 2019 (https://doi.org/10.1145/3287560.3287596), the first
lines what the Hugging Face Hub reads.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from components.common.evaluation.metric_names import MEANINGS, TITLES
from components.common.files import read_json
from components.common.publishing import card_words


def render_card(manifest: Mapping[str, Any], evaluation: Path, reasons: Sequence[str]) -> str:
    """The card in Markdown.

    Args:
        manifest: the version's, whole.
        evaluation: what the Evaluator wrote; a table that is not there is left out of the card.
        reasons: what its blessing rests on, a line a threshold.
    """
    classes = _table(evaluation / "classes.json")
    trained = manifest.get("trained", {})
    data = trained.get("data", {})
    slices = _table(evaluation / "slices.json")
    people = [row for row in slices if row["slice"] == "subject"]
    split = manifest.get("split")
    return _TEMPLATE.render(
        manifest=manifest,
        trained=trained,
        data=data,
        origin=manifest.get("origin", {}),
        judged=manifest.get("evaluation", {}).get("split"),
        metrics=_metrics(manifest),
        classes=classes,
        slices=[row for row in slices if row["slice"] != "subject"],
        # A subject may be called by a person's name, which a card must not say.
        worst_person=min(people, key=lambda row: row["accuracy"]["value"], default=None),
        comparison=_table(evaluation / "comparison.json"),
        reasons=reasons,
        summary=" ".join(card_words.summary(manifest)),
        limits=list(card_words.limits(manifest, classes)),
        split=split and card_words.how_split(split, data.get("train", {}).get("subjects")),
        titles=TITLES,
    )


def escape(text: str) -> str:
    """A text that Markdown shows as it is, on one line, also in a cell of a table."""
    return re.sub(r"([\\`*_\[\]<>|~&#$])", r"\\\1", " ".join(text.split()))


def code(value: Any) -> Markup:
    """A code span; plain text where it holds what a span in a table cannot."""
    text = " ".join(str(value).split())
    return Markup(escape(text) if re.search(r"[`|]", text) or not text else f"`{text}`")


def _metrics(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"title": title, "meaning": MEANINGS[name], "value": card_words.interval(metric)}
        for name, title in TITLES.items()
        if (metric := card_words.headline(manifest, name))
    ]


def _table(path: Path) -> Any:
    return read_json(path) if path.exists() else []


def _shown(value: Any) -> str:
    """Every name and label comes from data: what is not marked as Markdown is escaped."""
    return str(value) if isinstance(value, Markup) else escape(str(value))


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=False,
    finalize=_shown,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_TEMPLATES.filters |= {
    "code": code,
    "markdown": Markup,
    "interval": card_words.interval,
    "number": "{:,}".format,
    "signed": "{:+.3f}".format,
}
_TEMPLATE = _TEMPLATES.get_template("model_card.md.jinja")
