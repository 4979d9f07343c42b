#!/usr/bin/env bash
# clang-tidy, over the core, with the server's headers over the rest, and over kafka-bridge with its libraries'. The checks are in .clang-tidy.
set -euo pipefail

server=$("${PG_CONFIG:-pg_config}" --includedir-server)
{
  find src/core -name '*.cpp' -printf '%p\n'
  find src/pg src/touch src/engine src/entry -name '*.cpp' -printf "%p -isystem $server\n"
  find kafka-bridge/src kafka-bridge/tests/tools demo/producer -name '*.cpp' -printf "%p -isystem /usr/include/postgresql -Ikafka-bridge/src \
-Ikafka-bridge/tests/tools -DBRIDGE_VERSION=\"\" -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL -DFMT_SHARED\n"
} | sort | xargs -P "$(nproc)" -d '\n' -I '{}' bash -c '
  read -r file options <<<"$1"
  # shellcheck disable=SC2086
  # The analyzer, which takes longest, is for what runs within the server.
  [[ $file == src/* ]] && checks="" || checks=-clang-analyzer-*
  output=$(clang-tidy-14 --quiet --checks="$checks" "$file" -- -std=c++20 -Isrc -D_GNU_SOURCE -DUSE_ASSERT_CHECKING $options 2>&1) ||
    { grep -vE "^[0-9]+ warnings? .*generated|^Error while processing" <<<"$output"; exit 1; }
' - '{}'
