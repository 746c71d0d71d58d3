"""What the embedded cluster needs from the kernel: namespaces, sysctls, nftables.

Namespaces belong to threads: each function that enters one says so.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.cluster.netns.rtnetlink import open_route_socket
from harness.errors import ClusterError

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
_PR_SET_PDEATHSIG = 1
_IPPROTO_SCTP = 132

_HINTS = {
    errno.EMFILE: "raise the limit of open files of this process: ulimit -n",
    errno.ENFILE: "raise the limit of open files of this machine: sysctl fs.file-max",
    errno.EAGAIN: "raise the limit of processes: ulimit -u, or the pids limit of the container",
    errno.ENOMEM: "free memory, or run fewer workers",
    errno.ENOSPC: "raise the limits sysctl user.max_net_namespaces and user.max_user_namespaces",
    errno.EPERM: "allow namespaces to this user, or run as root",
    errno.ENOENT: "make sure that it exists, and start netpol again",
}

_libc = ctypes.CDLL(None, use_errno=True)


def refusal(what: str, error: OSError) -> ClusterError:
    """Say what the kernel did not let the embedded cluster do, why, and what helps."""
    number = error.errno or 0
    code = f"({errno.errorcode.get(number, number)})"
    reason = (error.strerror or str(error)).removesuffix(code).rstrip()
    if error.filename:
        reason = f"{error.filename}: {reason}"
    hint = _HINTS.get(number, "run as root, or use --cluster=kind or current")
    return ClusterError(f"the embedded cluster cannot {what}: {reason} {code}", hint=hint)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def unshare_namespaces() -> None:
    """Move this process, of one thread, into its own user, network and mount namespaces.

    Root may stay in its user namespace where the kernel forbids another. Raises OSError.
    """
    user, group = os.geteuid(), os.getegid()
    rest = _CLONE_NEWNET | _CLONE_NEWNS
    try:
        _call("unshare", _CLONE_NEWUSER | rest)
    except OSError:
        if user != 0:
            raise
        _call("unshare", rest)
        return
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")


def die_with_parent(parent: int) -> None:
    """End this process as soon as ``parent`` is gone.

    The kernel signals the death of the *thread* that made us; the handler therefore looks
    whether the process behind it is gone too.
    """

    def parent_changed() -> None:
        if os.getppid() != parent:
            os._exit(1)

    signal.signal(signal.SIGUSR1, lambda *_: parent_changed())
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGUSR1, 0, 0, 0)
    parent_changed()


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = hard if hard != resource.RLIM_INFINITY else 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def new_netns() -> int:
    """Make a network namespace, leave the calling thread in it, and return a descriptor."""
    _call("unshare", _CLONE_NEWNET)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter(netns: int) -> None:
    """Put the calling thread into a network namespace. Sockets stay where they were made."""
    _call("setns", netns, _CLONE_NEWNET)


def write_sysctls(values: Mapping[str, str]) -> None:
    """Set sysctls under ``net`` of the calling thread's network namespace."""
    for name, value in values.items():
        path = Path("/proc/sys/net", name)
        try:
            descriptor = os.open(path, os.O_WRONLY)
        except FileNotFoundError:
            continue  # not in this kernel, e.g. without IPv6
        except OSError as error:
            raise ClusterError(
                f"cannot write {path}: {error.strerror}",
                hint="/proc/sys must be writable; in a container, run it privileged",
            ) from error
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)


def run_nft(scripts: Mapping[int, str]) -> None:
    """Load nft scripts, each in one transaction in the namespace of its descriptor.

    Moves the calling thread. Raises ClusterError with the message of nft.
    """
    running = [(_start_nft(netns, "-f", "-"), script) for netns, script in scripts.items()]
    errors = []
    for process, script in running:
        _, error = process.communicate(script)
        if process.returncode:
            errors.append(error.strip())
    if errors:
        raise ClusterError(f"nft refused the rules: {errors[0]}")


def list_nft(netns: int, table: str) -> str:
    """Return the live rules of a table of family inet. Moves the calling thread."""
    return _listed(netns, "-s", "list", "table", "inet", table)


def list_nft_counters(netns: int, table: str) -> str:
    """Return the same rules with their counters. Moves the calling thread."""
    return _listed(netns, "list", "table", "inet", table)


def _listed(netns: int, *arguments: str) -> str:
    process = _start_nft(netns, *arguments)
    rules, error = process.communicate("")
    return rules if process.returncode == 0 else error


def _start_nft(netns: int, *arguments: str) -> subprocess.Popen[str]:
    enter(netns)
    return subprocess.Popen(
        [find_nft() or "nft", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def find_nft() -> str | None:
    """Return the path of nft; it lives where an ordinary user's PATH does not look."""
    return shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def has_sctp() -> bool:
    """Whether this kernel opens SCTP sockets."""
    return _opens(socket.AF_INET, _IPPROTO_SCTP)


def has_ipv6() -> bool:
    """Whether this kernel has IPv6 and gives addresses to it."""
    disabled = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
    if not disabled.exists() or disabled.read_text(encoding="ascii").strip() == "1":
        return False
    return _opens(socket.AF_INET6, 0)


def _opens(family: int, protocol: int) -> bool:
    try:
        socket.socket(family, socket.SOCK_STREAM, protocol).close()
    except OSError:
        return False
    return True


@contextmanager
def route_socket(netns: int) -> Iterator[socket.socket]:
    """An rtnetlink socket of that namespace. Moves the calling thread."""
    enter(netns)
    route = open_route_socket()
    try:
        yield route
    finally:
        route.close()
