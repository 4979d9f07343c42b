# What the demos have in common, to be sourced: demo_start OPTION.. builds all that is needed and starts a throw-away server, with
# the options of test/lib/server.sh; demo_end KEEP WHAT says goodbye, or, where KEEP is not empty, opens psql.
# shellcheck shell=bash
unset MAKEFLAGS MFLAGS MAKELEVEL
export demo_began=$EPOCHSECONDS

step() { printf '\n\033[1m== %s\033[0m (%d s)\n' "$1" $((EPOCHSECONDS - demo_began)); }

demo_start() {
  step 'Packages'
  test/lib/dependencies.sh build server python client bridge

  step 'Build'
  make -s -j"$(nproc)" PG_CONFIG="${PG_CONFIG:-pg_config}" all
  make -s -j"$(nproc)" -C kafka-bridge kafka-bridge tools

  step 'Server'
  # shellcheck source=test/lib/server.sh
  source test/lib/server.sh
  server_start --install "$PWD" --database demo --conf "shared_preload_libraries = 'attribution'" "$@"
}

demo_end() {
  step 'Done'
  if [ -n "$1" ]; then
    psql
  else
    echo "The server and its data go now. $0 --keep leaves you in psql, to $2."
  fi
}
