"""The source that a step is made of: when it changes, the step runs again."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from components.common.files import sha256_file

PACKAGES = ("tfds_builders", "tuning", "components", "deploy")
STARTED_AS_A_PROCESS = {"infra_validator": ("deploy.server.__main__",)}
IMPORTING_BY_NAME = ("tfds_builders.catalog", "tuning.hypermodels")
"""All modules beside these count as imported by them."""


@cache
def code_digests(step: str) -> dict[str, str]:
    """The digest of every project source file that a component imports, lazily or not, by module.

    Read from the sources, without importing any: a run that reuses all must not load TensorFlow.

    Args:
        step: the component's module in `components`.
    """
    digests: dict[str, str] = {}
    queue = [f"components.{step}", *STARTED_AS_A_PROCESS.get(step, ())]
    while queue:
        module = queue.pop()
        source = _source(module)
        if source is None or module in digests:
            continue
        digests[module] = sha256_file(source)
        queue += _imported(source)
        if module in IMPORTING_BY_NAME:
            queue += _modules_beside(module, source)
    return dict(sorted(digests.items()))


def _source(module: str) -> Path | None:
    """The file of a module of this project; None for a function, or another's module."""
    package, *names = module.split(".")
    if package not in PACKAGES:
        return None
    path = Path(__file__).parent.parent.joinpath(package, *names)
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@cache
def _imported(source: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _modules_beside(module: str, source: Path) -> Iterator[str]:
    package = module if source.name == "__init__.py" else module.rpartition(".")[0]
    for file in sorted(source.parent.rglob("*.py")):
        parts = file.relative_to(source.parent).with_suffix("").parts
        yield ".".join((package, *parts)).removesuffix(".__init__")
