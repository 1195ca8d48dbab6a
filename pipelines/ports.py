"""Ports that a command is about to listen on."""

import socket


class PortError(ValueError):
    """The port cannot be had; the message names the flag to say another with."""


def require_free(host: str, port: int, flag: str) -> None:
    """Raises PortError where `host:port` cannot be listened on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortError(
                f"port {port} on {host}: {error.strerror}; say another {flag}"
            ) from None
