#!/usr/bin/env bash
# The shared library exports its entry points and nothing else.
set -euo pipefail

# Templates of the standard library that the compiler must keep unique (type u) are out of our hands.
others=$(nm -D --defined-only attribution.so | awk '$2 != "u" { print $3 }' |
  grep -vE '^(attribution_[a-z0-9_]+|pg_finfo_attribution_[a-z0-9_]+|_PG_init|Pg_magic_func)$') || true
[ -n "$others" ] || exit 0
echo 'attribution.so exports more than its entry points:'
c++filt <<<"$others"
exit 1
