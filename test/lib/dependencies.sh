#!/usr/bin/env bash
# Installs the Debian packages of the groups named as arguments, if any is missing:
#     build server pgtap cron python client peers unit fuzz bridge kafka lint versions
# The PostgreSQL version is that of PG_CONFIG, or else the distribution's.
set -euo pipefail

if ! command -v apt-get >/dev/null; then
  echo "dependencies: not a Debian system; install by hand what these need: $*" >&2
  exit 0
fi

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq "$@"; }
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

updated=
update_once() {
  [ -z "$updated" ] || return 0
  apt update
  updated=1
}

postgresql_version() {
  local version
  version=$({ "${PG_CONFIG:-pg_config}" --version; } 2>/dev/null | sed 's/[^0-9]*\([0-9]*\).*/\1/')
  # A libpq-only pg_config may be newer than any server here; only one with PGXS counts.
  if [ -n "$version" ] && [ -e "$("${PG_CONFIG:-pg_config}" --pgxs)" ]; then
    echo "$version"
  else
    apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1
  fi
}

# A fresh container has no package lists, so that even the distribution's version is unknown.
version=$(postgresql_version)
if [ -z "$version" ]; then
  update_once
  version=$(postgresql_version)
fi

packages=()
for group; do
  case $group in
    build) packages+=(make g++ "postgresql-server-dev-$version") ;;
    server) packages+=("postgresql-$version") ;;
    pgtap) packages+=("postgresql-$version-pgtap" libtap-parser-sourcehandler-pgtap-perl) ;;
    cron) packages+=("postgresql-$version-cron") ;;
    python) packages+=(python3) ;;
    client) packages+=(python3-psycopg2) ;;
    peers) packages+=(python3-venv) ;;
    unit) packages+=(make g++ libgtest-dev) ;;
    fuzz) packages+=(make clang-14 libclang-rt-14-dev libstdc++-12-dev) ;;
    bridge)
      packages+=(make g++ pkg-config libpq-dev librdkafka-dev libsimdjson-dev libtomlplusplus-dev libcli11-dev libspdlog-dev
        libfmt-dev prometheus-cpp-dev libcpp-httplib-dev libgtest-dev tzdata prometheus)
      ;;
    kafka) packages+=(default-jre-headless maven openssl) ;;
    lint) packages+=(clang-format-14 clang-tidy-14 shellcheck git python3-venv) ;;
    versions) packages+=(debootstrap git) ;;
    *)
      echo "dependencies: no group '$group'" >&2
      exit 2
      ;;
  esac
done

missing=()
# Groups share packages.
for package in $(printf '%s\n' "${packages[@]}" | sort -u); do
  installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "Installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ update_once && apt install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null || {
  cat "$log" >&2
  exit 1
}
