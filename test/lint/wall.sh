#!/usr/bin/env bash
# The layers of the house, and other things that must stand in one place only.
set -euo pipefail

wrong=0
# only WHERE WHAT PATTERN: files of src that match the pattern must match the glob WHERE.
only() {
  local where=$1 what=$2 pattern=$3 file
  while IFS= read -r file; do
    # shellcheck disable=SC2053
    [[ $file == $where ]] && continue
    echo "$file: $what belongs in $where"
    grep -nE "$pattern" "$file" | head -n 3
    wrong=1
  done < <(grep -rlE --include='*.[ch]pp' "$pattern" src)
}

only src/pg/guard.hpp sigsetjmp '\bsigsetjmp *\('
only src/pg/compat.hpp PG_VERSION_NUM '\bPG_VERSION_NUM\b'
only 'src/entry/*' PG_FUNCTION_INFO_V1 '\bPG_FUNCTION_INFO_V1\b'

# Includes: src/pg may see the server; the core the standard library and itself; all others anything but the server's.
server=$("${PG_CONFIG:-pg_config}" --includedir-server)
core='^(core/.*|[a-z_0-9]+|[a-z]+intrin\.h)$'
while IFS=: read -r file line include; do
  header=${include#*[<\"]}
  header=${header%%[>\"]*}
  case $file in
    src/pg/*) continue ;;
    src/core/*) if [[ $header =~ $core ]]; then continue; fi ;;
    *) if [ ! -f "$server/$header" ]; then continue; fi ;;
  esac
  echo "$file:$line: must not include $header"
  wrong=1
done < <(grep -rnE --include='*.[ch]pp' '^ *# *include *[<"]' src)

# sql/*.sql, the list in the Makefile and expected/*.out belong together.
listed=$(make -s --no-print-directory list-regress | tr ' ' '\n' | sort)
for have in sql expected; do
  # NAME_1.out is an alternative to NAME.out.
  found=$(find $have -maxdepth 1 -name '*.sql' -o -name '*.out' | sed 's,.*/,,; s/\(_[0-9]\)*\.[a-z]*$//' | sort -u)
  if ! difference=$(diff <(echo "$listed") <(echo "$found")); then
    echo "REGRESS in the Makefile (<) and the files in $have (>) differ:"
    grep '^[<>]' <<<"$difference"
    wrong=1
  fi
done

exit $wrong
