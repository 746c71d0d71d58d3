"""Which application a verb is about: that of some manifests, or the one that runs on a cluster.

Every verb on an application has the arguments of ``arguments.add_application``, and gets the
application here.
"""

from __future__ import annotations

import argparse
import sys

from harness import application
from harness.application import Application
from harness.errors import UsageError


def application_of(parsed: argparse.Namespace) -> Application:
    """Return the application of the paths, or that of the context. Raises HarnessError."""
    found = application_on_cluster(parsed)
    if found is None:
        into = f"| netpol {parsed.verb} -"
        home = parsed.only or "default"
        return application.read(parsed.paths, home, sys.stdin.buffer, into=into)
    return found


def application_on_cluster(parsed: argparse.Namespace) -> Application | None:
    """Return the application of the context, or None if paths are named. Raises HarnessError."""
    if parsed.context is None:
        if parsed.kubeconfig is not None:
            raise UsageError("--kubeconfig needs --context", "--context NAME reads a cluster")
        if not parsed.paths:
            hint = "files or folders with manifests, or --context NAME for a cluster"
            raise UsageError("no application was named", hint)
        return None
    if parsed.paths:
        text = f"--context reads a cluster, so {parsed.paths[0]} cannot be read too"
        raise UsageError(text, "leave out the paths, or --context")
    from harness.cluster import kube
    from harness.cluster.kube import applications

    api = kube.connect(parsed.kubeconfig, parsed.context)
    return applications.application(api, (parsed.only,) if parsed.only else ())
