"""Ports that a command is about to listen on."""

import errno
import socket

from pipelines.errors import UsageError


class PortError(ValueError):
    """The port cannot be had; the message names the flag to say another with."""


def require_free(host: str, port: int, flag: str) -> None:
    """Finds out whether `host:port` can be listened on.

    Raises:
        UsageError: this machine has no such address.
        PortError: the port is in use, or not for everyone.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise UsageError(f"host {host}: {error.strerror}; say another --host") from None
            raise PortError(
                f"port {port} on {host}: {error.strerror}; say another {flag}"
            ) from None
