"""The jar of Beam's job server, built by Maven from the pom.xml beside this file."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock

POM = Path(__file__).with_name("pom.xml")
CACHE = Path.home() / ".cache" / "mien" / "jars"
_MAVEN_SECONDS = 900
_LINES = 15


class JarError(RuntimeError):
    """The jar is not there and cannot be built; says why."""


def job_server_jar(cache: Path = CACHE, pom: Path = POM) -> Path:
    """Returns the jar, building it where the cache has none of this pom.

    Raises:
        JarError: Java or Maven is missing, or Maven cannot fetch what it needs.
    """
    folder = cache / hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            _build(pom, part)
            part.rename(folder)
    return folder / "job-server.jar"


def missing_commands() -> list[str]:
    """Which of the commands that the jar needs this machine does not have."""
    return [command for command in ("java", "mvn") if shutil.which(command) is None]


def _build(pom: Path, folder: Path) -> None:
    if missing := missing_commands():
        raise JarError(f"not on PATH: {', '.join(missing)}; install Java 17 and Maven")
    command = ["mvn", "-B", "-q", "package", f"--file={pom}", f"-Djars={folder.resolve()}"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_MAVEN_SECONDS)
    except subprocess.TimeoutExpired:
        raise JarError(f"Maven took more than {_MAVEN_SECONDS} s: {' '.join(command)}") from None
    except subprocess.CalledProcessError as error:
        said = "\n".join(error.stdout.splitlines()[:_LINES])
        raise JarError(f"Maven could not build the jar: {' '.join(command)}\n{said}") from None
