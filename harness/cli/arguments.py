"""Arguments of verbs on applications and clusters. Imports nothing that only a verb needs."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.choice import seconds, whole_number


def add_application(
    verb: argparse.ArgumentParser, of_paths: str = "files or folders with manifests; - is stdin"
) -> None:
    """Add the arguments that name an application; ``harness.cli.applications`` reads them."""
    verb.add_argument("paths", metavar="PATH", nargs="*", help=of_paths)
    verb.add_argument(
        "-n",
        "--default-namespace",
        dest="only",
        metavar="NAME",
        help="the namespace of objects that name none (default); with --context the only one "
        "that is read",
    )
    verb.add_argument(
        "--context",
        metavar="NAME",
        help="read what runs on the cluster of this context instead, and change nothing",
    )
    verb.add_argument(
        "--kubeconfig",
        metavar="FILE",
        type=Path,
        help="with --context: the kubeconfig (default: as kubectl finds it)",
    )


def add_auditing(audit: argparse.ArgumentParser) -> None:
    """Add the arguments of an audit."""
    audit.add_argument("--context", metavar="NAME", required=True, help="the cluster's context")
    audit.add_argument(
        "-n",
        "--namespace",
        dest="namespaces",
        metavar="NAME",
        action="append",
        required=True,
        help="the namespace; repeatable",
    )
    audit.add_argument(
        "--yes",
        action="store_true",
        help="do not ask: a container is added to pods, and stays in their specs",
    )
    audit.add_argument(
        "--rate",
        metavar="N",
        type=whole_number,
        default=20,
        help="so many connections in a second at most (20)",
    )
    audit.add_argument("--format", choices=("text", "json"), default="text", help="(text)")
    audit.add_argument(
        "--kubeconfig",
        metavar="FILE",
        type=Path,
        help="the kubeconfig (default: as kubectl finds it)",
    )
    audit.add_argument(
        "--cni", metavar="NAME", help="a CNI profile, by name or path: how the cluster denies"
    )
    audit.add_argument("--agnhost-image", metavar="IMAGE", help="the image of the containers")
    audit.add_argument(
        "--probe-timeout",
        metavar="SECONDS",
        type=seconds,
        default=1.0,
        help="how long a probe waits (1)",
    )
