#!/bin/bash
# Every C file is as clang-format 14 with .clang-format leaves it.
. "$(dirname "$0")/lib.sh"

format=clang-format
command -v clang-format-14 >/dev/null && format=clang-format-14
need "$format"
if ! "$format" --version | grep -q 'version 14\.'; then
    need clang-format-14
fi

check() {
    "$format" --dry-run -Werror --style=file "$@"
}

printf 'int  f( ){return 0 ;}\n' >"$tmp/bad.c"
cp "$srcdir/.clang-format" "$tmp/"
must_fail "bad spacing" check "$tmp/bad.c"

find "$srcdir/src" "$srcdir/tests" "$srcdir/bench" -name '*.[ch]' -print0 2>/dev/null |
    sort -z >"$tmp/files"
[ -s "$tmp/files" ] || exit 1
xargs -0 "$format" --dry-run -Werror --style=file <"$tmp/files"
