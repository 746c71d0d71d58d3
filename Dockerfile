# An image with netpol, for clusters: docs/gate.md. It has no kind, no kubectl and no nft, so it
# has no embedded cluster.
#
#   docker build --tag netpol:local .
#
# BASE is any image with Python 3.11 or newer and its module venv, as `python3`; `make base-image`
# makes one without a registry. Both stages must have the same one, because the virtual environment
# refers to its interpreter.
ARG BASE=docker.io/library/python:3.13-slim@sha256:6771159cd4fa5d9bba1258caf0b82e6b73458c694d178ad97c5e925c2d0e1a91

FROM ${BASE} AS build
# How pip finds packages: variables that it reads itself. They stay in this stage.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
ARG PIP_TRUSTED_HOST
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY harness harness
# Compiled here: the root file system is read-only where it runs.
RUN python3 -m venv /opt/netpol \
 && /opt/netpol/bin/python -m pip install --no-cache-dir --disable-pip-version-check --compile \
      --constraint constraints.txt . \
 && /opt/netpol/bin/python -m pip uninstall --yes pip

FROM ${BASE}
COPY --from=build /opt/netpol /opt/netpol
ENV PATH=/opt/netpol/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
# A number, so that runAsNonRoot can be checked. It owns nothing; netpol writes only below /tmp.
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["netpol"]
CMD ["--help"]
