"""Workers of xdist that start at once: forks of a process that has imported everything.

A worker spends half a second of CPU on its imports, and the tests here start about a hundred.
xdist starts ``sys.executable``; a test can set that to the program that ``warm_python`` returns.
The program passes its descriptors, folder and environment to a server, which forks.

This file is the server when it runs as a program.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import select
import shlex
import socket
import subprocess
import sys
import tempfile
import traceback
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# It imports only what it needs, because it starts with each worker.
CLIENT = """\
import _socket, array, os, sys
server = _socket.socket(_socket.AF_UNIX)
server.connect(sys.argv[1])
descriptors = array.array("i", [0, 1, 2])
server.sendmsg([b"+"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)])
server.sendall(ascii((sys.argv[2:], os.getcwd(), dict(os.environ))).encode() + b"\\n")
nothing = os.open(os.devnull, os.O_RDWR)
for descriptor in descriptors:
    os.dup2(nothing, descriptor)
server.recv(1)  # returns when the fork ends
"""


@contextlib.contextmanager
def warm_python(folder: Path) -> Iterator[Path]:
    """Start the server, and return the program that xdist can start as Python."""
    address, client, program = (folder / name for name in ("server", "client.py", "python"))
    client.write_text(CLIENT)
    words = shlex.join([sys.executable, "-IS", str(client), str(address)])
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    program.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, __file__, str(address)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdin
        assert server.stdout
        try:
            assert server.stdout.readline() == b"ready\n"
            yield program
        finally:
            server.stdin.close()


def _import_everything() -> None:
    """Collect a scenario: that imports all that a worker needs, and prepares the models."""
    from tests.plugin.conftest import PLUGINS, SCENARIO

    told = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(told):
        Path(folder, "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
        words = [f"--rootdir={folder}", f"{folder}/scenario.yaml", "--collect-only", "-qq"]
        status = pytest.main([*PLUGINS, "-p", "xdist", *words])
    assert status == pytest.ExitCode.OK, told.getvalue()
    gc.freeze()  # a worker need not look for garbage in what it got from here


def _serve(address: str) -> None:
    """Fork for each connection, until the standard input ends."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while 0 not in select.select([0, listener.fileno()], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _become(connection)
            connection.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG) != (0, 0):
                    pass
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _become(connection: socket.socket) -> None:
    """Run the program that the client was given; the connection ends with this process."""
    try:
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
        for standard, descriptor in enumerate(descriptors):
            os.dup2(descriptor, standard)
            os.close(descriptor)
        words, folder, environment = literal_eval(connection.makefile().readline())
        assert words[:2] == ["-u", "-c"], words
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["-c"]
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(fd, mode) for fd, mode in enumerate("rww"))
        exec(words[2], {"__name__": "__main__"})  # noqa: S102 - what execnet gave to Python
        os._exit(0)
    except BaseException:  # noqa: BLE001 - nothing may return into the server
        traceback.print_exc()
    finally:
        os._exit(1)


if __name__ == "__main__":
    _import_everything()
    _serve(sys.argv[1])
