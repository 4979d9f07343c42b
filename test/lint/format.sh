#!/usr/bin/env bash
# Sources are as clang-format writes them. The version is fixed, as each one formats a little differently.
set -euo pipefail
git -c safe.directory='*' ls-files -z --cached --others --exclude-standard '*.cpp' '*.hpp' |
  xargs -0 -r ls -d 2>/dev/null | xargs -d '\n' -r clang-format-14 --dry-run -Werror
