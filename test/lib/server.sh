#!/usr/bin/env bash
# A throw-away PostgreSQL server, private to whoever starts it. Either run a command against one:
#     test/lib/server.sh [option ..] -- command [argument ..]
# or source this file and call `server_start [option ..]`; the server then ends with the calling shell.
#
#   --install DIR     build the extension in DIR and install it into a copy of PostgreSQL that only this server sees
#   --conf 'a = b'    a line for postgresql.conf; may be given again
#   --initdb ARG      an argument for initdb; may be given again (the default locale is C.UTF-8)
#   --database NAME   a database to make and to name in PGDATABASE (default: postgres)
#
# PGHOST, PGPORT, PGUSER and PGDATABASE are exported. The server listens on a socket in its own directory alone, where
# everybody may be any role: clients may run as root, though the server itself runs as postgres.

server_dir=
server_pid=
server_owner=()

# server_as_owner runs a command as the server's owner: PostgreSQL refuses to run as root.
server_as_owner() { (cd "$server_dir" && "${server_owner[@]}" "$@"); }

# server_private_copy lays out a PostgreSQL that finds its extensions below $server_dir: a server looks for them relative
# to its own program, so the programs are copied and all other files linked. Nothing is installed for others to find.
server_private_copy() {
  local bindir=$1 dir
  for dir in "$bindir" "$("$pg_config" --pkglibdir)" "$("$pg_config" --sharedir)"; do
    mkdir -p "$server_dir/root$dir" && cp -as "$dir/." "$server_dir/root$dir/" || return
  done
  cp --remove-destination "$bindir"/{initdb,postgres} "$server_dir/root$bindir/" || return
  # An installation for everybody may be there as well; it is not what is to be tested.
  find "$server_dir/root" -name 'attribution*' -type l -delete
}

server_start() {
  local pg_config=${PG_CONFIG:-pg_config} install='' database=postgres conf=() initdb=() bindir
  while [ $# -gt 0 ]; do
    case $1 in
      --install) install=$2 ;;
      --conf) conf+=("$2") ;;
      --initdb) initdb+=("$2") ;;
      --database) database=$2 ;;
      *)
        echo "server: no option '$1'" >&2
        return 2
        ;;
    esac
    shift 2
  done

  server_dir=$(mktemp -d "${TMPDIR:-/tmp}/attribution-server.XXXXXX") || return
  trap server_stop EXIT
  # Signals end the shell through exit, so that the trap above runs.
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  chmod 755 "$server_dir"
  bindir=$("$pg_config" --bindir) || return

  if [ -n "$install" ]; then
    server_private_copy "$bindir" || return
    make -s -C "$install" PG_CONFIG="$pg_config" DESTDIR="$server_dir/root" install >"$server_dir/install.log" 2>&1 || {
      cat "$server_dir/install.log" >&2
      return 1
    }
    bindir=$server_dir/root$bindir
  fi

  mkdir "$server_dir/data" "$server_dir/socket"
  if [ "$(id -u)" = 0 ]; then
    # Unlike su and runuser this leaves no process in between, so that the server's pid is the one we started.
    server_owner=(setpriv --reuid postgres --regid postgres --init-groups)
    chown postgres "$server_dir/data" "$server_dir/socket"
  fi
  server_as_owner "$bindir/initdb" -D "$server_dir/data" -U postgres -A trust --no-sync -k -E UTF8 --locale=C.UTF-8 \
    "${initdb[@]}" >"$server_dir/initdb.log" 2>&1 || {
    cat "$server_dir/initdb.log" >&2
    return 1
  }
  # There is no TCP, so any port is free; this one is not the default, so that a client which lost PGHOST finds no server.
  export PGHOST=$server_dir/socket PGPORT=54329 PGUSER=postgres PGDATABASE=postgres
  {
    echo "listen_addresses = ''"
    echo "unix_socket_directories = '$PGHOST'"
    echo "port = $PGPORT"
    # What is left in the log is worth reading after a failure.
    printf '%s\n' 'log_min_messages = error' 'log_checkpoints = off'
    # Nothing here has to survive a crash of the machine.
    printf '%s\n' 'fsync = off' 'synchronous_commit = off' 'full_page_writes = off'
    printf '%s\n' 'max_wal_size = 4GB' 'shared_buffers = 256MB' "timezone = 'UTC'" "log_line_prefix = '%m [%p] %d '"
    [ ${#conf[@]} -eq 0 ] || printf '%s\n' "${conf[@]}"
  } >>"$server_dir/data/postgresql.conf"

  (cd "$server_dir" && exec "${server_owner[@]}" "$bindir/postgres" -D data) </dev/null >"$server_dir/log" 2>&1 &
  server_pid=$!
  local tries=300
  until [ "$(sed -n '8s/ *$//p' "$server_dir/data/postmaster.pid" 2>/dev/null)" = ready ]; do
    tries=$((tries - 1))
    if [ $tries = 0 ] || ! kill -0 "$server_pid" 2>/dev/null; then
      echo 'server: did not start' >&2
      server_log >&2
      return 1
    fi
    sleep 0.1
  done
  if [ "$database" != postgres ]; then
    psql -qXc "CREATE DATABASE \"$database\"" || return
    export PGDATABASE=$database
  fi
}

# server_log prints the end of the server's log: what to read after a failure.
server_log() {
  [ -s "$server_dir/log" ] || return 0
  echo '--- the end of the server log'
  tail -n 40 "$server_dir/log"
}

# server_running prints the pid of the server, if it runs: the one that was started here, or, where a test has ended that
# and started it again, the one that sits in the data directory. (A pid in a file may be another program's by now.)
server_running() {
  local pid
  if [ -n "$server_pid" ] && jobs -pr | grep -qx "$server_pid"; then
    echo "$server_pid"
  else
    pid=$(head -n 1 "$server_dir/data/postmaster.pid" 2>/dev/null) || return 0
    ! [ "/proc/$pid/cwd" -ef "$server_dir/data" ] || echo "$pid"
  fi
}

server_stop() {
  local pid
  [ -n "$server_dir" ] || return 0
  pid=$(server_running)
  if [ -n "$pid" ]; then
    # A fast shutdown; whoever still hangs after ten seconds has lost the right to a clean one.
    kill -INT "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    if kill -QUIT "$pid" 2>/dev/null; then sleep 1; fi
  fi
  rm -rf "$server_dir"
  server_dir='' server_pid=''
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  options=()
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  shift || {
    sed -n '2,14s/^# \{0,1\}//p' "$0" >&2
    exit 2
  }
  server_start "${options[@]}" || exit
  "$@" && exit
  status=$?
  server_log >&2
  exit $status
fi
