#!/usr/bin/env bash
# Shell scripts: everything that says so in its first line.
set -euo pipefail
git -c safe.directory='*' grep -lI --untracked -E '^#!.*\b(ba)?sh$' | xargs -d '\n' -r shellcheck --severity=warning
