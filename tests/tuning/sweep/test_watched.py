import os
import select
import signal
import subprocess
import sys
from pathlib import Path

PARENT = """
import os, subprocess, sys
command = [sys.executable, "-P", "-m", "tuning.sweep.watched", "job"]
child = subprocess.Popen(command, env=os.environ | {"MIEN_SEARCH_PARENT": str(os.getpid())})
print(child.pid, flush=True)
child.wait()
"""


def test_it_ends_when_its_parent_is_killed_also_while_it_imports_keras(tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("import signal; signal.pause()")
    path = os.pathsep.join([str(tmp_path), os.getcwd()])
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    ) as process:
        assert process.stdout
        child = os.pidfd_open(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        assert select.select([child], [], [], 60)[0] == [child]
    os.close(child)
