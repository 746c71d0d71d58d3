"""The command ``netpol``: everything that knows a command line.

Each verb is a function from parsed arguments to an exit status; ``main`` is the one place
where errors become text. What a verb does not need is not imported.
"""

from __future__ import annotations

import argparse
import enum
import io
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from harness.errors import ClusterError, HarnessError, ScenarioError, UsageError
from harness.plugin.choice import CLUSTERS, KIND_NAME, ClusterChoice, offline_folder
from harness.suggest import nearest

if TYPE_CHECKING:
    import pytest

    from harness import oracle
    from harness.cluster import Cluster
    from harness.model import Cell, Observation, Probe, Scenario, Step, Verdict
    from harness.plugin.session import Course


class Exit(enum.IntEnum):
    """What the exit status of every verb means."""

    OK = 0
    WRONG = 1
    USAGE = 2
    NO_VERDICT = 3
    INVALID = 4
    BROKEN = 70
    INTERRUPTED = 130


_STATUS_HELP = """\
exit status:
  0    everything is as expected
  1    a cell is wrong, or a denial is unproven
  2    the command line or the environment asks for what cannot be
  3    no verdict: the cluster has a problem, does not enforce NetworkPolicy, or
       lacks what all scenarios need
  4    a scenario file is invalid, or its tables contradict its policies
  70   a defect of netpol itself
  130  interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; every error becomes a text on stderr and an exit status."""
    if arguments is None and sys.getfilesystemencoding() != "utf-8":
        # pytest puts the titles of steps into its environment, which such a locale cannot hold.
        os.execve(sys.executable, sys.orig_argv, os.environ | {"PYTHONUTF8": "1"})  # noqa: S606
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # A locale may lack characters.
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on. Python would complain about it again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except HarnessError as error:
        print(error, file=sys.stderr)
        return _status_of(error)
    except Exception as error:  # noqa: BLE001 - the last place where a user can be told
        return _defect(error)


def _run(arguments: Sequence[str] | None) -> int:
    parsed, rest = _parser().parse_known_args(arguments)
    _require_current_folder()
    verb: Callable[[argparse.Namespace], int] = parsed.verb
    if verb is _run_scenarios:
        return _run_scenarios(parsed, rest)
    if rest:
        raise UsageError(f"unknown arguments: {' '.join(rest)}", "`netpol --help`")
    return verb(parsed)


def _require_current_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        text = "the current folder does not exist any more"
        raise UsageError(text, "change to a folder that exists") from None


def _status_of(error: HarnessError) -> Exit:
    match error:
        case ScenarioError():
            return Exit.INVALID
        case ClusterError():
            return Exit.NO_VERDICT
        case _:
            return Exit.USAGE


def _defect(error: Exception) -> Exit:
    if os.environ.get("NETPOL_DEBUG"):
        traceback.print_exc()
    else:
        print(f"netpol failed: {type(error).__name__}: {error}", file=sys.stderr)
        print("hint: this is a defect; NETPOL_DEBUG=1 shows where", file=sys.stderr)
    return Exit.BROKEN


# ------------------------------------------------------------------ the command line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="netpol",
        description="Test Kubernetes NetworkPolicies with real packets.",
        epilog=_STATUS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_scenario_verbs(verbs)
    _add_probe_verb(verbs)
    _add_cluster_verbs(verbs)
    return parser


def _add_scenario_verbs(verbs: Any) -> None:
    init = _verb(verbs, "init", _init, "write a first scenario with its policy, to begin with")
    init.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=Path("scenarios"))
    init.add_argument("--force", action="store_true", help="overwrite what is there, and say so")

    check = _verb(verbs, "check", _check, "read scenario files without any cluster")
    check.add_argument("files", metavar="FILE", nargs="+", type=Path, help="files or folders")

    run = _verb(verbs, "run", _run_scenarios, "run scenario files on a cluster")
    run.add_argument("files", metavar="FILE", nargs="+", help="files, folders, or FILE::STEP")
    run.add_argument("-n", "--workers", metavar="N", default="0", help="processes, or auto")
    run.add_argument("--settle", metavar="SECONDS", help="how long a step may take to be right")
    run.add_argument("--hold", metavar="SECONDS", help="how long it must then stay right")
    run.add_argument("--canary", choices=("on", "off"), default="on", help="off: with --defect")
    run.add_argument("--results", metavar="FILE", help="write all cells as JSON")
    run.add_argument("--allow-empty", action="store_true", help="accept a run without any cell")
    run.add_argument("--no-tables", action="store_true", help="do not print truth tables")
    run.epilog = "Other options go to pytest; give their values with =."
    _add_cluster_options(run)

    explain = _verb(verbs, "explain", _explain, "say why the policies decide as they do")
    explain.add_argument("file", metavar="SCENARIO", type=Path)
    explain.add_argument("ends", metavar="FROM TO", nargs="*", help="one pair instead of all")
    explain.add_argument("--step", metavar="STEP", help="a step's number or name")

    schema = _verb(verbs, "schema", _schema, "print a JSON Schema")
    words = ("scenario", "results")
    schema.add_argument(
        "of", choices=words, nargs="?", default=words[0], help="of scenario files, or results.json"
    )


def _add_probe_verb(verbs: Any) -> None:
    probe = _verb(verbs, "probe", _probe, "repeat one probe of a scenario by hand")
    probe.add_argument("file", metavar="FILE", type=Path)
    probe.add_argument("step", metavar="STEP", help="the step's number or name")
    probe.add_argument("source", metavar="SOURCE", help="for example app1/nginx")
    probe.add_argument("destination", metavar="DESTINATION", help="for example svc/db/main:5432")
    probe.add_argument("-6", "--ipv6", action="store_true", help="over IPv6")
    _add_cluster_options(probe)


def _add_cluster_verbs(verbs: Any) -> None:
    up = _verb(verbs, "up", _up, "make a kind cluster, or use the one that is there")
    up.add_argument("--cni", metavar="NAME", default="calico", help="the CNI profile (calico)")
    up.add_argument("--config", metavar="FILE", type=Path, help="instead of the harness's own")
    down = _verb(verbs, "down", _down, "delete the kind cluster")
    status = _verb(verbs, "status", _status, "say how the kind cluster is")
    logs = _verb(verbs, "logs", _logs, "write the kind cluster's logs, events and objects")
    logs.add_argument("folder", metavar="FOLDER", type=Path)
    for verb in (up, down, status, logs):
        verb.add_argument("--name", metavar="NAME", default=KIND_NAME, help=f"({KIND_NAME})")
    up.add_argument(
        "--offline",
        metavar="DIR",
        type=Path,
        default=offline_folder(),
        help="download nothing; DIR holds images and manifests (NETPOL_OFFLINE)",
    )
    choose = _verb(verbs, "choose", _choose, "say which cluster `auto` is here, and why")
    choose.add_argument("cluster", choices=("auto", *CLUSTERS))
    choose.add_argument("--cni", metavar="NAME", default="calico")
    clean = _verb(verbs, "clean", _clean, "remove what dead runs left on a cluster")
    clean.add_argument("--run", metavar="ID", help="of this run, unless it is alive")
    _add_cluster_options(clean, default="kind")
    _verb(verbs, "version", _version, "print the version")


def _verb(verbs: Any, name: str, does: Callable[..., int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(verb=does)
    return parser


def _add_cluster_options(parser: argparse.ArgumentParser, default: str = "netns") -> None:
    group = parser.add_argument_group("cluster")
    group.add_argument("--cluster", choices=CLUSTERS, default=default, help=f"({default})")
    group.add_argument("--context", metavar="NAME", help="with --cluster=current")
    group.add_argument("--kubeconfig", metavar="FILE", type=Path, help="with --cluster=current")
    group.add_argument("--cni", metavar="NAME", help="the profile that knows its CNI")
    group.add_argument("--kind-name", metavar="NAME", default=KIND_NAME, help=f"({KIND_NAME})")
    group.add_argument("--agnhost-image", metavar="IMAGE", help="with kind and current")
    group.add_argument(
        "--image-pull-secret", metavar="NAMESPACE/NAME", action="append", default=[]
    )
    group.add_argument("--probe-timeout", metavar="SECONDS", type=float, dest="probe_timeout_s")
    group.add_argument("--defect", metavar="NAME", help="with --cluster=netns: a known defect")


def _choice(parsed: argparse.Namespace) -> ClusterChoice:
    choice = ClusterChoice(
        cluster=parsed.cluster,
        context=parsed.context,
        kubeconfig=parsed.kubeconfig,
        cni=parsed.cni,
        kind_name=parsed.kind_name,
        agnhost_image=parsed.agnhost_image,
        image_pull_secrets=tuple(parsed.image_pull_secret),
        probe_timeout_s=parsed.probe_timeout_s,
        defect=parsed.defect,
    )
    choice.check()
    return choice


# ------------------------------------------------------------------ scenarios


def _init(parsed: argparse.Namespace) -> int:
    from harness import scenario

    data = resources.files("harness") / "data"
    texts = {
        parsed.folder / "first-scenario.yaml": (data / "first-scenario.yaml").read_text("utf-8"),
        parsed.folder / "policies" / "database-from-frontend.yaml": (
            data / "first-policy.yaml"
        ).read_text("utf-8"),
        parsed.folder / "scenario.schema.json": scenario.schema(),
    }
    try:
        there = [path for path in texts if path.exists()]
    except OSError as error:
        raise UsageError(f"{parsed.folder}: {error.strerror}") from None
    if there and not parsed.force:
        names = ", ".join(str(path) for path in there)
        raise UsageError(f"already there: {names}", "--force overwrites; or name another folder")
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        print(f"{'overwritten' if path in there else 'written'}: {path}")
    first = next(iter(texts))
    print(f"next: netpol run {first}")
    return Exit.OK


def _files(given: Sequence[Path]) -> Iterator[Path]:
    """Give the scenario files, those of folders in order. Raises UsageError for none."""
    for path in given:
        try:
            is_folder, is_there = path.is_dir(), path.exists()
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        if is_folder:
            found = _find(path)
            if not found:
                raise UsageError(
                    f"{path}: no scenario files (*.yaml) in this folder",
                    "`netpol init` writes a first one",
                )
            yield from found
        elif is_there:
            yield path
        else:
            raise UsageError(f"{path}: no such file")


def _find(folder: Path) -> tuple[Path, ...]:
    from harness import scenario

    try:
        return scenario.find(folder)
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None


def _check(parsed: argparse.Namespace) -> int:
    from harness import report, scenario

    status = Exit.OK
    for path in list(_files(parsed.files)):
        try:
            found = scenario.load(path)
        except ScenarioError as error:
            print(error, file=sys.stderr)
            status = Exit.INVALID
            continue
        cells = report.at_best(cell for step in found.steps for cell in step.table.cells)
        steps = _count(len(found.steps), "step")
        print(f"{path}: good, {steps}, {report.prospect(cells)}")
        for note in found.notes:
            print(f"  note: {note}")
    return status


def _schema(parsed: argparse.Namespace) -> int:
    from harness import report, scenario

    print(scenario.schema() if parsed.of == "scenario" else report.schema(), end="")
    return Exit.OK


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# ------------------------------------------------------------------ run


def _run_scenarios(parsed: argparse.Namespace, rest: Sequence[str] = ()) -> int:
    import pytest

    files = []
    for given in parsed.files:
        name, colons, step = given.partition("::")
        found = list(_files([Path(name)]))
        files += [f"{path}{colons}{step}" for path in found]
    words = ["-c", os.devnull, f"--rootdir={Path.cwd()}", "--disable-plugin-autoload"]
    words += ["-p", "harness.plugin", "-p", "no:cacheprovider", "--import-mode=importlib"]
    # The plugin is imported already; pytest would warn that it cannot rewrite its assertions.
    words.append("--assert=plain")
    words += ["-q", "--no-header", "-rfEs", f"--canary={parsed.canary}"]
    if parsed.workers != "0":
        words += ["-p", "xdist", "-n", parsed.workers]
    if not parsed.no_tables:
        words.append("--tables")
    if parsed.allow_empty:
        words.append("--allow-empty")
    for name in ("settle", "hold", "results"):
        if getattr(parsed, name) is not None:
            words.append(f"--{name}={getattr(parsed, name)}")
    listener = _Listener()
    code = pytest.main([*words, *_choice(parsed).words(), *rest, *files], plugins=[listener])
    return listener.status(int(code))


_STATUS_OF_PYTEST = {0: Exit.OK, 3: Exit.BROKEN}


class _Listener:
    """Learns from the plugin what pytest's exit status does not distinguish."""

    def __init__(self) -> None:
        self._course: Course | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        from harness.plugin.session import course

        self._course = course(session.config)

    def status(self, code: int) -> int:
        """Translate pytest's exit status (0 good, 1 failed, 2 interrupted, 3 broken, ...)."""
        from harness.report import Outcome

        if self._course is None:
            return _STATUS_OF_PYTEST.get(code, Exit.USAGE)
        ending = self._course.ending
        if ending.interrupted:
            return max(code, Exit.INTERRUPTED)
        if ending.invalid:
            return Exit.INVALID
        if self._course.refusal:
            return _status_of(self._course.refusal)
        if ending.unmeasured:
            return Exit.NO_VERDICT
        if code == 1:
            seen = {record.outcome for record in self._course.records}
            wrong = seen & {Outcome.WRONG, Outcome.UNPROVEN, Outcome.NOT_REFUSED}
            return Exit.WRONG if wrong else Exit.NO_VERDICT
        return _STATUS_OF_PYTEST.get(code, Exit.USAGE)


# ------------------------------------------------------------------ explain


def _explain(parsed: argparse.Namespace) -> int:
    from harness import scenario

    found = scenario.examine(parsed.file)[0]
    steps = [_step(found, parsed.step)] if parsed.step else list(found.steps)
    match parsed.ends:
        case []:
            against = _explain_differences(found, steps)
        case [source, destination]:
            against = _explain_pair(found, steps, (source, destination))
        case _:
            raise UsageError("give both ends, or none", "netpol explain SCENARIO FROM TO")
    return Exit.INVALID if against else Exit.OK


def _explain_pair(found: Scenario, steps: Sequence[Step], ends: tuple[str, str]) -> int:
    """Print the path to a pair's verdict; count its cells written against the policies."""
    from harness import oracle
    from harness.report import as_written, explained

    facts = oracle.Facts(features=found.needs.features)
    asked = _parse_ends(*ends)
    _require_ends(steps, asked)
    differing = 0
    for step in steps:
        print(f"step '{step.name}'")
        judge = oracle.Judge(step.state, facts)
        for family in found.families:
            probe = replace(asked, family=family)
            cell = next((cell for cell in step.table.cells if cell.probe == probe), None)
            explanation = judge.explain(probe)
            if cell:
                explanation = as_written(explanation, cell.expected)
            print(explained(explanation))
            if cell:
                against = _contradicts(judge, cell)
                differing += against
                remark = ", against the policies" if against else ""
                print(f"  {cell.location}: written {cell.expected}{remark}")
        print()
    return differing


def _explain_differences(found: Scenario, steps: Sequence[Step]) -> int:
    """Print and count the cells where the author's word is none that the policies allow."""
    from harness import oracle
    from harness.report import agreement, at_best, explained

    facts = oracle.Facts(features=found.needs.features)
    differing = total = 0
    if found.oracle_off:
        print(f"the file says `oracle: off`: {found.oracle_off}\n")
    for step in steps:
        cells = step.table.cells
        judge = oracle.Judge(step.state, facts)
        against = [cell for cell in cells if _contradicts(judge, cell)]
        total, differing = total + len(cells), differing + len(against)
        contradicted = {cell.probe for cell in against}
        others = at_best(cell for cell in cells if cell.probe not in contradicted)
        print(f"step '{step.name}': {agreement(others, len(against))}")
        for cell in against:
            print(f"{cell.location}: written {cell.expected}, but")
            print(indent(explained(judge.explain(cell.probe)), "  "))
    if not differing:
        print("`netpol explain FILE FROM TO` explains one pair")
    else:
        print(f"{differing} of {_count(total, 'cell')} written against the policies")
    return differing


def _contradicts(judge: oracle.Judge, cell: Cell) -> bool:
    return judge.predict(cell.probe).contradicts(cell.expected)


def _parse_ends(source: str, destination: str) -> Probe:
    from harness import scenario
    from harness.model import Probe

    return Probe(scenario.parse_source(source), scenario.parse_destination(destination))


def _require_ends(steps: Sequence[Step], probe: Probe) -> None:
    """Refuse pods and outside hosts that no step has: a slip would be explained at length."""
    from harness.model import ExternalRef, PodRef

    known = {str(pod.ref) for step in steps for pod in step.state.pods}
    known |= {f"external/{item.name}" for step in steps for item in step.state.externals}
    for end in (probe.source, probe.destination.host):
        if isinstance(end, PodRef | ExternalRef) and str(end) not in known:
            hint = nearest(str(end), known) or f"it has {', '.join(sorted(known))}"
            raise UsageError(f"{str(end)!r} is in no step of this scenario", hint)


def _step(found: Scenario, wanted: str) -> Step:
    """Find a step by its name, or by its number from 1."""
    for number, step in enumerate(found.steps, 1):
        if wanted in {step.name, str(number)}:
            return step
    steps = "; ".join(f"{number} {step.name}" for number, step in enumerate(found.steps, 1))
    raise UsageError(f"{found.path} has no step {wanted!r}", f"steps are: {steps}")


# ------------------------------------------------------------------ probe


def _probe(parsed: argparse.Namespace) -> int:
    from harness import scenario
    from harness.model import Family

    found = scenario.read(parsed.file)
    step = _step(found, parsed.step)
    probe = _parse_ends(parsed.source, parsed.destination)
    _require_ends([step], probe)
    if parsed.ipv6:
        probe = replace(probe, family=Family.V6)
    with _choice(parsed).make("main") as cluster:
        return probe_step(cluster, found, step, probe)


def probe_step(cluster: Cluster, found: Scenario, step: Step, probe: Probe) -> Exit:
    """Make the states up to the step true, probe until the verdict is right, and print it."""
    from harness.model import Verdict

    lack = cluster.capabilities.lacks(found.needs)
    if lack:
        raise ClusterError(lack)
    for each in found.steps[: found.steps.index(step) + 1]:
        print(f"step '{each.name}'", file=sys.stderr)
        cluster.sync(each.state)
    wanted = _wanted(found, step, probe)
    observation = _settled(cluster, probe, wanted)
    print(f"{probe}  {observation.outcome}  ({observation.ended - observation.started:.3f} s)")
    if observation.raw:
        print(f"probe output: {observation.raw.strip()}")
    if observation.command:
        print(f"reproduce: {observation.command}")
    if not isinstance(observation.outcome, Verdict):
        return Exit.NO_VERDICT
    if wanted and observation.outcome not in wanted:
        print(f"expected: {' or '.join(sorted(str(word) for word in wanted))}")
        return Exit.WRONG
    return Exit.OK


def _wanted(found: Scenario, step: Step, probe: Probe) -> frozenset[Verdict]:
    """Give the word of the table, else those that the policies allow; empty where any will do."""
    from harness import oracle

    for cell in step.table.cells:
        if cell.probe == probe:
            return frozenset({cell.expected})
    facts = oracle.Facts(features=found.needs.features)
    prediction = oracle.Judge(step.state, facts).predict(probe)
    return frozenset() if prediction.not_judged else prediction.words


def _settled(cluster: Cluster, probe: Probe, wanted: frozenset[Verdict]) -> Observation:
    """Probe until the word is a wanted one, or the cluster's settle time is over."""
    deadline = time.monotonic() + cluster.capabilities.settle_s
    while True:
        (observation,) = cluster.probe([probe])
        if not wanted or observation.outcome in wanted or time.monotonic() > deadline:
            return observation
        time.sleep(0.1)


# ------------------------------------------------------------------ clusters


def _up(parsed: argparse.Namespace) -> int:
    from harness.cluster import kind
    from harness.cluster.profiles import profile

    own = resources.files("harness") / "data" / "kind-config.yaml"
    with resources.as_file(own) as config:
        kind.up(parsed.name, profile(parsed.cni), parsed.offline, parsed.config or config)
    return Exit.OK


def _down(parsed: argparse.Namespace) -> int:
    from harness.cluster import kind

    kind.down(parsed.name)
    return Exit.OK


def _status(parsed: argparse.Namespace) -> int:
    from harness.cluster import kind

    print(kind.status(parsed.name))
    return Exit.OK


def _logs(parsed: argparse.Namespace) -> int:
    from harness.cluster import kind

    kind.export_logs(parsed.name, parsed.folder)
    print(f"the logs of {parsed.name} are under {parsed.folder}", file=sys.stderr)
    return Exit.OK


def _choose(parsed: argparse.Namespace) -> int:
    """Print one word for scripts; the reason goes to stderr."""
    word, reason = parsed.cluster, f"{parsed.cluster}, as asked for"
    if parsed.cluster == "auto":
        from harness.cluster import kind

        word, reason = kind.choose(offline_folder(), parsed.cni)
    print(f"cluster: {reason}", file=sys.stderr)
    print(word)
    return Exit.OK


def _clean(parsed: argparse.Namespace) -> int:
    choice = _choice(parsed)
    if choice.cluster == "netns":
        print("nothing to clean: what the embedded cluster makes ends with its process")
        return Exit.OK
    found = choice.sweep(parsed.run)
    for item in found.removed:
        print(f"removed: {item}")
    for item in found.kept:
        print(f"kept: {item}")
    for item in found.failed:
        print(f"not removed: {item}", file=sys.stderr)
    print(f"{_count(len(found.removed), 'leftover')} removed, {len(found.kept)} kept")
    return Exit.NO_VERDICT if found.failed else Exit.OK


def _version(_parsed: argparse.Namespace) -> int:
    from harness.plugin.session import version

    print(f"netpol {version()}")
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
