"""Beam's worker pool, on one address: starts the Python process that a task manager asks for.

Beam's own `apache_beam.runners.worker.worker_pool_main` listens on every address, and whoever
reaches it starts processes here that take their orders from him. A task manager needs it on the
address that they share: the pod's own, or one of this machine's (127.0.0.2, 127.0.0.3, ...).

    python -m deploy.flink.worker_pool 127.0.0.1:50000
"""

import logging
import os
import sys
from pathlib import Path

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.utils.thread_pool_executor import shared_unbounded_instance


def serve(address: str) -> grpc.Server:
    """Starts a worker pool on `host:port`; each worker is a process of its own.

    Raises:
        RuntimeError: the address cannot be had.
    """
    server = grpc.server(shared_unbounded_instance(), options=[("grpc.so_reuseport", 0)])
    pool = BeamFnExternalWorkerPoolServicer(use_process=True)
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_insecure_port(address)
    server.start()
    return server


def main(address: str) -> None:
    """Serves until it is ended."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # The pool starts its workers as `python`: this one.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = serve(address)
    logging.info("worker pool on %s", address)
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1])
