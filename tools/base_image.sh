#!/usr/bin/env bash
# tools/base_image.sh IMAGE [RELEASE]: make a base for the Dockerfile without an image registry.
#
# The base has the Python of a Debian or Ubuntu release: the one that this machine runs, unless
# RELEASE names another one of its apt sources. The packages come from their mirror. The base trusts
# the certificate authorities that were added to this machine. If the image is there and was made in
# this way, it is kept.
set -euo pipefail

readonly IMAGE=${1:?usage: tools/base_image.sh IMAGE [RELEASE]}
# shellcheck source=/dev/null
RELEASE=${2:-$(. /etc/os-release && echo "${VERSION_CODENAME:-}")}
readonly PACKAGES=ca-certificates,python3,python3-venv
LIMIT_S=${LIMIT_S:-900}
readonly AUTHORITIES=/usr/local/share/ca-certificates
readonly LABEL=netpol.harness/base
# The kernel mounts these, and nothing that runs netpol reads the others.
readonly LEFT_OUT=(
  './dev/*' './proc/*' './sys/*' ./etc/hostname ./etc/resolv.conf './var/cache/apt/*'
  './var/lib/apt/lists/*' './usr/share/doc/*' './usr/share/locale/*' './usr/share/man/*'
)

give_up() { printf '%s\n' "$@" >&2; exit 2; }

missing() {
  [[ $(id -u) = 0 ]] || echo "it runs as root"
  local program
  for program in apt-get debootstrap docker unshare; do
    command -v "$program" >/dev/null || echo "the program $program is not on the PATH"
  done
  ! command -v docker >/dev/null || timeout 30 docker version >/dev/null 2>&1 ||
    echo "the Docker daemon does not answer"
}

# "MIRROR COMPONENT,COMPONENT" of a release in the apt sources, or nothing.
source_of() {
  # shellcheck disable=SC2016 # apt-get replaces these
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v release="$1" '
      $2 == release && $1 ~ /^(https?|file):/ && (mirror == "" || mirror == $1) {
        mirror = $1; if (!($3 in seen)) list = list (list ? "," : "") $3; seen[$3] }
      END { if (mirror) print mirror, list }'
}

# Changes with everything that the image is made of, except the versions of packages.
content() {
  { cat "${BASH_SOURCE[0]}"; echo "$RELEASE $(dpkg --print-architecture)"
    cat "$AUTHORITIES"/*.crt 2>/dev/null || true; } | sha256sum | cut -d' ' -f1
}

problems=$(missing)
[[ -z $problems ]] || give_up "the base image cannot be made here:" "$problems" \
  "hint: on Debian and Ubuntu, apt-get install debootstrap docker.io"

read -r mirror components <<<"$(source_of "$RELEASE")"
[[ -n $mirror ]] || give_up "the apt sources of this machine have no release '$RELEASE' over http, https or file" \
  "hint: apt-get indextargets prints what they have"

wanted=$(content)
if [[ $(docker image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$IMAGE" 2>/dev/null) = "$wanted" ]]; then
  echo "base image: $IMAGE is there"
  exit 0
fi

folder=$(mktemp -d "${TMPDIR:-/var/tmp}/netpol-base-XXXXXX")
worker=
tear_down() {
  trap - EXIT INT TERM
  [[ -z $worker ]] || { kill "$worker" 2>/dev/null && wait "$worker"; } || true
  rm -rf --one-file-system "$folder"
}
trap tear_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Run within what is left of the time. In the background, because bash acts on signals only then.
limited() {
  timeout --kill-after=10 "$((LIMIT_S - SECONDS > 0 ? LIMIT_S - SECONDS : 1))" "$@" &
  worker=$!
  local status=0
  wait "$worker" || status=$?
  worker=
  return "$status"
}

echo "base image: $IMAGE, of the packages of $RELEASE (one or two minutes, at most $LIMIT_S s)"
root=$folder/root
# What debootstrap mounts in there goes with its mount namespace, whatever happens.
limited unshare --mount debootstrap --force-check-gpg --variant=minbase --components="$components" \
  --include="$PACKAGES" "$RELEASE" "$root" "$mirror" >"$folder/log" 2>&1 || {
  status=$?
  tail -n 20 "$folder/log" >&2
  [[ $status != 124 ]] || give_up "debootstrap did not end within $LIMIT_S s"
  give_up "debootstrap could not install $RELEASE: exit status $status"
}
[[ ! -d $AUTHORITIES ]] || cp -R "$AUTHORITIES/." "$root$AUTHORITIES/"
chroot "$root" update-ca-certificates >"$folder/log" 2>&1 || {
  tail -n 20 "$folder/log" >&2
  give_up "the certificate authorities of this machine cannot be added"
}
chroot "$root" python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' ||
  give_up "the Python of $RELEASE cannot be used: $(chroot "$root" python3 --version), and 3.11 is needed"
tar --create --file "$folder/root.tar" --directory "$root" --numeric-owner "${LEFT_OUT[@]/#/--exclude=}" .
limited docker import --change "LABEL $LABEL=$wanted" --change "CMD [\"python3\"]" "$folder/root.tar" "$IMAGE" \
  >/dev/null || give_up "docker import failed"
echo "base image: made in $SECONDS s"
