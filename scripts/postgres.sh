# Sourced after setup.sh: a throw-away Postgres, started as an unprivileged user and stopped when the script ends.
# shellcheck shell=bash disable=SC2034

SCRATCH_POSTGRES=() # a line "BIN_DIR DIR" for each server that this script started
trap stop_scratch_postgres EXIT
trap 'exit 130' INT TERM

# Runs a command as the user who may run Postgres.
as_postgres_user() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    else
        local user
        user=$(scratch_user)
        setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups "$@"
    fi
}

scratch_user() { id -un postgres 2>/dev/null || id -un nobody; }

# start_scratch_postgres BIN_DIR: sets SCRATCH_URL. Durable as in production: tests that kill Postgres rely on it.
start_scratch_postgres() {
    local bin=$1 dir password port attempt
    dir=$(mktemp -d "${TMPDIR:-/tmp}/coreason-postgres.XXXXXX")
    SCRATCH_POSTGRES+=("$bin $dir")
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && printf '%s\n' "$password" >"$dir/password")
    [ "$(id -u)" -ne 0 ] || chown -R "$(scratch_user)" "$dir"
    (
        cd /
        export LC_ALL=C
        as_postgres_user "$bin/initdb" --pgdata "$dir/pgdata" --username postgres --pwfile "$dir/password" \
            --auth scram-sha-256 --encoding UTF8 --locale C --data-checksums --no-sync >"$dir/initdb.log" 2>&1
    ) || { cat "$dir/initdb.log" >&2; fail "initdb failed"; }
    cat >>"$dir/pgdata/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
shared_buffers = 128MB
max_wal_size = 2GB
jit = off
fsync = on
synchronous_commit = on
CONF
    # Below the range from which the kernel serves outgoing connections. Another may take the port first.
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        port=$((26000 + RANDOM % 6000))
        if (cd / && as_postgres_user "$bin/pg_ctl" --silent --wait --pgdata "$dir/pgdata" --log "$dir/postgres.log" \
            --options "-p $port" start >/dev/null 2>&1); then
            SCRATCH_URL="postgres://postgres:$password@127.0.0.1:$port/postgres"
            return
        fi
    done
    tail -n 20 "$dir/postgres.log" >&2
    fail "Postgres did not start in $attempt attempts"
}

stop_scratch_postgres() {
    local server bin dir
    for server in "${SCRATCH_POSTGRES[@]}"; do
        read -r bin dir <<<"$server"
        if [ -e "$dir/pgdata/postmaster.pid" ]; then
            (cd / && as_postgres_user "$bin/pg_ctl" --silent --mode immediate --pgdata "$dir/pgdata" stop >/dev/null 2>&1) || true
        fi
        rm -rf "$dir"
    done
    SCRATCH_POSTGRES=()
}
