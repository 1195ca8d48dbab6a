"""The folder that a server reads: `<model>/<version>/`, each version with its manifest."""

from pathlib import Path

MANIFEST = "mien_manifest.json"


def version_folders(base_path: Path) -> dict[int, Path]:
    """The version folders of a model by their number, ascending: what TF Serving would open.

    TF Serving reads ASCII digits alone, which `isdecimal` does not ask for.
    """
    found = {
        int(path.name): path
        for path in base_path.iterdir()
        if path.is_dir() and path.name.isascii() and path.name.isdecimal()
    }
    return dict(sorted(found.items()))
