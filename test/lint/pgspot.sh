#!/usr/bin/env bash
# pgspot finds what an attacker could use in an installation script: unqualified names, functions without a search_path,
# objects replaced that may be someone else's.
set -euo pipefail

version=0.9.4
venv=.cache/pgspot-$version
if [ ! -x "$venv/bin/pgspot" ]; then
  rm -rf "$venv"
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "pgspot==$version"
fi
"$venv/bin/python" test/lint/pgspot_lenient.py attribution--*.sql
