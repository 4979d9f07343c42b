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
# A procedure that commits can't have a search_path of its own: these hold nothing but calls of qualified functions.
committing=(
  'attribution._work(this_run bigint)'
  'attribution.run(rule text,as_of timestamptz)'
  'attribution.reattribute(rule text,since timestamptz,until timestamptz,as_of timestamptz)'
  'attribution.reconcile(rule text)'
  'attribution.maintain(rule text)'
  'attribution.ingest(target regclass,rule text,as_of timestamptz)'
)
"$venv/bin/python" test/lint/pgspot_lenient.py "${committing[@]/#/--proc-without-search-path=}" attribution--*.sql
