"""Settings for a cluster whose network plugin has a profile."""

from __future__ import annotations

from dataclasses import replace

from harness.cluster.kube import AgentCommand, KubeSettings
from harness.cluster.kube.ranges import Pool
from harness.cluster.profiles import AgentTrace, Profile


def with_profile(
    settings: KubeSettings, profile: Profile, version: str | None = None
) -> KubeSettings:
    """Return the settings with all that a profile says of the cluster's network plugin.

    ``version`` None means one of those that the profile describes.
    """
    gaps = profile.gaps(version)
    return replace(
        settings,
        agents=profile.agents,
        cni=profile.name,
        cni_version=version or "",
        denies_by=profile.denies_by,
        features=settings.features | (set(profile.features) - {gap.feature for gap in gaps}),
        gaps=settings.gaps + gaps,
        known_cells=settings.known_cells + profile.known_cells(version),
        known_traits=settings.known_traits + profile.known_traits(version),
        trace=_agent_command(profile.trace) if profile.trace else None,
        trace_by_hand=profile.trace_by_hand,
        pools=tuple(Pool(item.api_version, item.kind, item.path) for item in profile.pools),
    )


def _agent_command(trace: AgentTrace) -> AgentCommand:
    return AgentCommand(trace.agent, trace.container, trace.command, trace.prints)
