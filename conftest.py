"""Makes `pytest scenarios/` work in a checkout that is not installed."""

pytest_plugins = ["harness.plugin"]
