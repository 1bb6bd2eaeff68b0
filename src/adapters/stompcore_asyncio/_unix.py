"""`ControlSocket`: a Unix socket in the file system that only this user can open."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress

__all__ = ["ControlSocket"]

_BACKLOG = 16


class ControlSocket:
    """Binds and listens; `socket` is for the loop, and `unlink` for the end.

    Its file has mode 0600 before anybody could connect. The file of a server that has died is
    replaced; whatever else is at `path` stays.

    Args:
        path: in a folder that exists.

    Raises:
        OSError: that cannot be.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.setblocking(False)
            self._bind()
            try:
                os.chmod(path, 0o600)
                self._made = _identity(path)
                self.socket.listen(_BACKLOG)
            except OSError:
                with suppress(OSError):
                    os.unlink(path)
                raise
        except BaseException:
            self.socket.close()
            raise

    def unlink(self) -> None:
        """Take its file away, unless that is another's by now.

        Before the socket is closed: until then, no other file can have its inode.
        """
        with suppress(OSError):
            if _identity(self._path) == self._made:
                os.unlink(self._path)

    def _bind(self) -> None:
        try:
            self.socket.bind(self._path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _check_dead(self._path)
            os.unlink(self._path)
            self.socket.bind(self._path)


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def _check_dead(path: str) -> None:
    """Whether `path` is a socket that nobody listens on; OSError if it is not."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise OSError(errno.EEXIST, "the path of the control socket is that of another file")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return
        except BlockingIOError:  # its backlog is full
            pass
    raise OSError(errno.EADDRINUSE, "another server has this control socket")
