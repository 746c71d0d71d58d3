"""The verbs of ``netpol`` and their arguments. Imports nothing that only a verb needs."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import harness
from harness.choice import (
    CLUSTER_OPTIONS,
    CLUSTERS,
    KIND_NAME,
    RUN_OPTIONS,
    ClusterChoice,
    Option,
    limit,
    minutes,
    offline_folder,
    whole_number,
)
from harness.cli.arguments import add_application, add_auditing
from harness.cli.exits import STATUS_HELP

_DEFECT = next(option for option in CLUSTER_OPTIONS if option.name == "defect")
_NOT_OF_CLEAN = {"cni", "agnhost-image", "image-pull-secret", "probe-timeout", "defect"}


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs; its results ``module`` and ``verb`` name the function."""
    made = argparse.ArgumentParser(
        prog="netpol",
        description="Test Kubernetes NetworkPolicies with real packets.",
        epilog=STATUS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument(
        "--version", action=_Version, default=argparse.SUPPRESS, help="print the version, and exit"
    )
    verbs = made.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_scenario_verbs(verbs)
    _add_matrix_verb(verbs)
    _add_lint_verb(verbs)
    _add_diff_verb(verbs)
    _add_snapshot_verbs(verbs)
    _add_audit_verb(verbs)
    _add_generate_verb(verbs)
    _add_probe_verb(verbs)
    _add_gate_verb(verbs)
    _add_report_verb(verbs)
    _add_compare_verb(verbs)
    _add_cluster_verbs(verbs)
    return made


def _add_scenario_verbs(verbs: Any) -> None:
    init = _verb(verbs, "init", "scenarios", "write an example scenario and its policy")
    init.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=Path("scenarios"))
    init.add_argument("--force", action="store_true", help="overwrite existing files")

    check = _verb(verbs, "check", "scenarios", "check scenario files without a cluster")
    check.add_argument("files", metavar="FILE", nargs="+", type=Path, help="files or folders")

    run = _verb(verbs, "run", "run", "run scenario files on a cluster")
    run.add_argument("files", metavar="FILE", nargs="+", help="files, folders, or FILE::STEP")
    run.add_argument(
        "-n", "--workers", metavar="N", default="0", help="number of processes, or auto"
    )
    run.add_argument("--no-tables", action="store_true", help="do not print truth tables")
    run.epilog = "Other options are passed to pytest; write their values with =."
    run.set_defaults(passes_on=True)
    _add_options(run, "run", RUN_OPTIONS)
    _add_options(run, "cluster", CLUSTER_OPTIONS)

    explain = _verb(verbs, "explain", "explain", "explain the verdicts of the policies")
    explain.description = (
        "Explain every cell that contradicts the policies, or one pair in each step. "
        "Exits with 4 if a verdict contradicts the policies."
    )
    explain.add_argument("file", metavar="FILE", type=Path, help="a scenario file")
    explain.add_argument(
        "ends",
        metavar="SOURCE DESTINATION",
        nargs="*",
        help="the ends of one pair, as in tables: app1/nginx db/postgres:5432",
    )
    explain.add_argument("--step", metavar="STEP", help="the step's number or name")

    schema = _verb(verbs, "schema", "scenarios", "print a JSON Schema")
    words = ("scenario", "fixture", "policy", "results")
    schema.add_argument(
        "of",
        choices=words,
        nargs="?",
        default=words[0],
        help="for scenario files, fixtures, policies, or results.json",
    )


def _add_matrix_verb(verbs: Any) -> None:
    text = "print who reaches whom in an application"
    matrix = _verb(verbs, "matrix", "matrix", text)
    add_application(matrix)
    matrix.add_argument(
        "--format",
        choices=("text", "markdown", "json", "csv", "html", "dot"),
        default="text",
        help="(text)",
    )
    text = "also send packets on the embedded cluster, and compare; exit 1 if a pair disagrees"
    _add_packets(matrix, text)
    _add_cut(matrix)


def _add_diff_verb(verbs: Any) -> None:
    text = "print which connections differ between two versions of an application"
    diff = _verb(verbs, "diff", "diff", text)
    versions = "a folder, a file, - for stdin, or files of a git revision: HEAD~1:k8s"
    diff.add_argument("old", metavar="OLD", help=f"the version before: {versions}")
    diff.add_argument("new", metavar="NEW", help="the version after")
    diff.add_argument(
        "--path",
        dest="paths",
        metavar="PATH",
        action="append",
        default=[],
        help="only this path below both; they are folders or git revisions then",
    )
    _add_default_namespace(diff)
    formats = ("text", "markdown", "json")
    diff.add_argument("--format", choices=formats, default="text", help="(text)")
    text = "also send packets for what changed, in both versions, on the embedded cluster"
    _add_packets(diff, text)
    _add_cut(diff)
    diff.epilog = (
        "Exits with 0 if no connection differs, with 1 if one does, with 2 for a version that is "
        "not there, with 3 if packets give no verdict, and with 4 for an invalid manifest."
    )


def _add_default_namespace(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "-n",
        "--default-namespace",
        metavar="NAME",
        default="default",
        help="the namespace of objects that name none (default)",
    )


def _add_packets(verb: argparse.ArgumentParser, text: str) -> None:
    packets = verb.add_argument_group("packets")
    packets.add_argument("--packets", action="store_true", help=text)
    _DEFECT.add(packets.add_argument)


def _add_cut(verb: argparse.ArgumentParser) -> None:
    cut = verb.add_argument_group("cut", "each may be given several times; * stands for any text")
    cut.add_argument(
        "--from", dest="sources", metavar="NAME", action="append", default=[], help="only from it"
    )
    cut.add_argument(
        "--to", dest="destinations", metavar="NAME", action="append", default=[], help="only to it"
    )
    cut.add_argument(
        "--namespace",
        dest="namespaces",
        metavar="NAME",
        action="append",
        default=[],
        help="only pairs with an end in this namespace",
    )


def _add_lint_verb(verbs: Any) -> None:
    text = "print what is probably wrong with the policies of an application"
    lint = _verb(verbs, "lint", "lint", text)
    add_application(lint)
    lint.add_argument(
        "--level",
        choices=("error", "warning", "note"),
        default="warning",
        help="findings of this level and above are printed, and exit with 1 (warning)",
    )
    lint.add_argument(
        "--format", choices=("text", "json", "sarif", "github"), default="text", help="(text)"
    )
    for name, text in (("select", "only these findings"), ("ignore", "none of these findings")):
        lint.add_argument(f"--{name}", metavar="ID,ID", action="append", default=[], help=text)
    for name, what in (("pod", "pods"), ("service", "Services")):
        lint.add_argument(
            f"--{name}-range",
            dest=f"{name}_ranges",
            metavar="CIDR",
            action="append",
            default=[],
            help=f"a range of addresses of {what} (default: the usual ones)",
        )


def _add_snapshot_verbs(verbs: Any) -> None:
    text = "write scenario files for an application"
    importing = _verb(verbs, "import", "snapshots", text)
    importing.set_defaults(verb="import_")
    add_application(importing, "files or folders with manifests, which scenarios will name")
    importing.add_argument(
        "-o", "--out", metavar="FOLDER", type=Path, required=True, help="where they are written"
    )

    text = "compare the tables of snapshots with what the policies give now"
    snapshot = _verb(verbs, "snapshot", "snapshots", text)
    snapshot.description = f"{text[0].upper()}{text[1:]}. Exits with 1 if they differ."
    snapshot.add_argument("files", metavar="FILE", nargs="+", type=Path, help="files or folders")
    snapshot.add_argument(
        "--update", action="store_true", help="write the new tables into the files"
    )


def _add_audit_verb(verbs: Any) -> None:
    text = "probe between the workloads that run on a cluster: does it do what its policies say?"
    add_auditing(_verb(verbs, "audit", "audit", text))


def _add_generate_verb(verbs: Any) -> None:
    text = "write random scenarios with the tables that the policies give"
    generate = _verb(verbs, "generate", "generate", text)
    _add_seed_and_fixture(generate)
    generate.add_argument(
        "--count", metavar="K", type=whole_number, default=20, help="how many scenarios (20)"
    )
    text = "each scenario also has ClusterNetworkPolicies"
    generate.add_argument("--tiers", action="store_true", help=text)
    generate.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("generated"),
        help="the folder that they are written to (generated)",
    )

    fuzz = _verb(verbs, "fuzz", "fuzz", "run random scenarios on a cluster, for some minutes")
    _add_seed_and_fixture(fuzz)
    text = "each scenario also has policies in tiers; an error if the cluster has no such kind"
    fuzz.add_argument("--tiers", action="store_true", help=text)
    fuzz.add_argument("--minutes", metavar="M", type=minutes, default=5.0, help="when to stop (5)")
    fuzz.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("disagreements"),
        help="the folder for scenarios that show disagreements (disagreements)",
    )
    _add_options(fuzz, "run", (opt for opt in RUN_OPTIONS if opt.name in {"settle", "canary"}))
    _add_options(fuzz, "cluster", CLUSTER_OPTIONS)


def _add_seed_and_fixture(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--seed", metavar="N", type=whole_number, default=1, help="the source of chance (1)"
    )
    verb.add_argument(
        "--fixture", metavar="FILE", type=Path, help="the topology (default: nine pods)"
    )


def _add_probe_verb(verbs: Any) -> None:
    probe = _verb(verbs, "probe", "probe", "repeat one probe of a scenario by hand")
    probe.add_argument("file", metavar="FILE", type=Path)
    probe.add_argument("step", metavar="STEP", help="the step's number or name")
    probe.add_argument("source", metavar="SOURCE", help="for example app1/nginx")
    probe.add_argument("destination", metavar="DESTINATION", help="for example svc/db/main:5432")
    probe.add_argument("-6", "--ipv6", action="store_true", help="over IPv6")
    _add_options(probe, "cluster", CLUSTER_OPTIONS)


def _add_gate_verb(verbs: Any) -> None:
    text = "check in a few seconds that policies are enforced, before untrusted code is let in"
    gate = _verb(verbs, "gate", "gate", text)
    gate.description = (
        "Check that policies are enforced at this moment: pods connect without policies, a policy "
        "that denies all ingress denies it, and one that denies all egress too. "
        "Everything else than these proven denials closes the gate: the exit status is not 0."
    )
    gate.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=limit,
        default=60.0,
        help="the gate is closed if it takes longer (60); then it cleans up",
    )
    gate.add_argument(
        "--label",
        dest="labels",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a label of the pods that are isolated; repeatable",
    )
    gate.add_argument(
        "--namespace-label",
        dest="namespace_labels",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a label of their namespace; repeatable",
    )
    gate.add_argument(
        "--nodes",
        metavar="N",
        type=whole_number,
        help="try it on the first N nodes (default: on all)",
    )
    gate.add_argument(
        "--junitxml",
        metavar="FILE",
        type=Path,
        help="write a JUnit file with a case for each check",
    )
    _add_options(gate, "run", (opt for opt in RUN_OPTIONS if opt.name == "settle"))
    _add_options(gate, "cluster", CLUSTER_OPTIONS, netpol_cluster="current")


def _add_report_verb(verbs: Any) -> None:
    report = _verb(verbs, "report", "report", "print what a file of results says")
    report.add_argument(
        "file",
        metavar="RESULTS",
        type=Path,
        help="a file of --results, also compressed (.json.gz)",
    )
    report.add_argument(
        "--html", metavar="FILE", type=Path, help="write them as one HTML page instead"
    )
    report.add_argument(
        "--github",
        action="store_true",
        help="annotations for GitHub Actions, and a summary in the file of GITHUB_STEP_SUMMARY",
    )
    report.add_argument(
        "--conformance-shape",
        action="store_true",
        help="as YAML in the form of a ConformanceReport of policy.networking.k8s.io",
    )
    report.add_argument(
        "--beside",
        metavar="REPORT",
        type=Path,
        help="and what such a report says of tests that ask the same as scenarios",
    )
    one = report.add_argument_group("one cell")
    one.add_argument(
        "--cell",
        metavar="PAIR",
        help="all that is known of one cell, like 'y/a -> x/b:80', where it is not as expected",
    )
    one.add_argument("--step", metavar="STEP", help="in the step of this name, or FILE::STEP")
    one.add_argument(
        "--previous",
        metavar="FILE",
        type=Path,
        help="and what it gave in these earlier results; also with --html",
    )


def _add_compare_verb(verbs: Any) -> None:
    compare = _verb(verbs, "compare", "compare", "show what differs between files of results")
    compare.add_argument(
        "files",
        metavar="RESULTS",
        nargs="+",
        type=Path,
        help="files of --results, also compressed (.json.gz); the earliest first",
    )
    form = compare.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    form.add_argument(
        "--html", metavar="FILE", type=Path, help="write one HTML page; print only the summary"
    )
    compare.epilog = (
        "Exits with 0 if the results are the same, with 1 if they differ, and with 2 if a file "
        "cannot be read."
    )


def _add_cluster_verbs(verbs: Any) -> None:
    up = _verb(verbs, "up", "clusters", "create a kind cluster, or use the existing one")
    up.add_argument("--cni", metavar="NAME", default="calico", help="the CNI profile (calico)")
    up.add_argument("--config", metavar="FILE", type=Path, help="another kind configuration")
    down = _verb(verbs, "down", "clusters", "delete the kind cluster")
    status = _verb(verbs, "status", "clusters", "print the state of the kind cluster")
    logs = _verb(verbs, "logs", "clusters", "write the kind cluster's logs, events and objects")
    logs.add_argument("folder", metavar="FOLDER", type=Path)
    for verb in (up, down, status, logs):
        verb.add_argument(
            "--name", metavar="NAME", default=KIND_NAME, help=f"its name ({KIND_NAME})"
        )
    up.add_argument(
        "--offline",
        metavar="DIR",
        type=Path,
        default=offline_folder(),
        help="download nothing; DIR holds images and manifests (NETPOL_OFFLINE)",
    )
    choose = _verb(verbs, "choose", "clusters", "print which cluster `auto` selects, and why")
    choose.add_argument("cluster", choices=("auto", *CLUSTERS))
    choose.add_argument("--cni", metavar="NAME", default="calico")
    clean = _verb(verbs, "clean", "clusters", "remove what dead runs left on a cluster")
    clean.add_argument("--run", metavar="ID", help="only what this run left, unless it is alive")
    of_clean = [item for item in CLUSTER_OPTIONS if item.name not in _NOT_OF_CLEAN]
    _add_options(clean, "cluster", of_clean, netpol_cluster="kind")
    clean.set_defaults(
        **{item.dest: item.initial for item in CLUSTER_OPTIONS if item.name in _NOT_OF_CLEAN}
    )
    _verb(verbs, "version", "version", "print the version")


def _verb(verbs: Any, name: str, module: str, text: str) -> argparse.ArgumentParser:
    """Add a verb, which is the function of this name in the module."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(module=module, verb=name, passes_on=False)
    return parser


def _add_options(
    parser: argparse.ArgumentParser, title: str, options: Iterable[Option], **defaults: str
) -> None:
    group = parser.add_argument_group(title)
    for option in options:
        option.add(group.add_argument)
    parser.set_defaults(**defaults)


class _Version(argparse.Action):
    """Print the version and exit; only then is it looked up."""

    def __init__(self, option_strings: Sequence[str], dest: str, **more: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **more)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"netpol {harness.VERSION}")
        parser.exit()


def choice_of(parsed: argparse.Namespace) -> ClusterChoice:
    """Return the choice of the cluster in parsed options. Raises UsageError."""
    choice = ClusterChoice.of(vars(parsed).__getitem__)
    choice.check()
    return choice
