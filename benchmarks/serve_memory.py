"""Prints the memory of the embedded server over 100,000 requests: it stays flat.

    python benchmarks/serve_memory.py ROOT/serving/NAME/1 [--requests 100000]

32 clients ask by gRPC and REST in turn; the server tells its memory on its metrics page. What
counts is the growth from the first tenth on: before, the libraries fill their caches.
"""

import argparse
import re
import tempfile
from pathlib import Path

import requests
from serve_load import NAME, draw_pictures, in_other_process, load_of, running_server

CLIENTS = 32
_RESIDENT = re.compile(r"^process_resident_memory_bytes (\S+)$", re.MULTILINE)


def resident(rest: str) -> float:
    """The server's resident memory in MiB."""
    page = requests.get(f"{rest}/monitoring/prometheus/metrics", timeout=60).text
    found = _RESIDENT.search(page)
    assert found
    return float(found[1]) / 2**20


def main() -> None:
    """Asks and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version_dir", type=Path)
    parser.add_argument("--requests", type=int, default=100_000)
    arguments = parser.parse_args()
    pictures = in_other_process(draw_pictures)
    with tempfile.TemporaryDirectory() as folder:
        base_path = Path(folder) / NAME
        base_path.mkdir()
        (base_path / "1").symlink_to(arguments.version_dir.resolve())
        with running_server(base_path) as (rest, grpc_address):
            done, said = 0.0, 0
            while done < arguments.requests:
                for way, address in (("gRPC", grpc_address), ("REST", rest)):
                    load = in_other_process(load_of, way, address, CLIENTS, pictures, 5.0)
                    done += 5.0 * load.rate
                if done // (arguments.requests / 10) > said:
                    said = int(done // (arguments.requests / 10))
                    print(f"{done:10,.0f} requests {resident(rest):8.1f} MiB", flush=True)


if __name__ == "__main__":
    main()
