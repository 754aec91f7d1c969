# For the scripts of this directory: sourced.
# shellcheck shell=bash
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
jobs=$(nproc)

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
    bold='' red='' green='' plain=''
fi
export bold red green plain

die() {
    echo "$*" >&2
    exit 1
}

# quietly LOG COMMAND...: its output goes to LOG, and is shown only if it fails
quietly() {
    local log=$1
    shift
    "$@" >>"$log" 2>&1 </dev/null && return
    echo "failed: $*"
    { grep -E '(error|warning):' "$log" | head -n 20; tail -n 20 "$log"; } | sed 's/^/    /'
    echo "all of it: $log"
    return 1
}

# Prints the libraries that configure would find. If they have changed, it must run again.
libraries() {
    local library
    for library in openssl libuv inih jansson cmocka; do
        echo "$library $(pkg-config --modversion "$library" 2>/dev/null)"
    done
}

# configure DIR OPTION...: makes DIR a build directory with these options, unless it is one already
configure() {
    local dir=$1 wanted
    shift
    wanted="$* $(libraries)"
    mkdir -p "$dir"
    : >"$dir/build.log"
    if [ ! -e "$top/configure" ] || [ ! -e "$top/Makefile.in" ] ||
        [ ! -e "$top/build-aux/install-sh" ] ||
        [ -n "$(find "$top/configure.ac" "$top/m4" -newer "$top/configure")" ]; then
        quietly "$dir/build.log" autoreconf -i "$top" || return
    fi
    if [ ! -e "$dir/Makefile" ] || [ "$(cat "$dir/configured" 2>/dev/null)" != "$wanted" ] ||
        [ "$top/configure" -nt "$dir/config.status" ]; then
        (cd "$dir" && quietly build.log "$top/configure" "$@") || return
        echo "$wanted" >"$dir/configured"
    fi
}

# build DIR OPTION...: configures and makes
build() {
    configure "$@" && quietly "$1/build.log" make -C "$1" -j "$jobs"
}
