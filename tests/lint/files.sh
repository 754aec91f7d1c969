#!/bin/bash
# Nothing that is generated is in git, and every shell script can be read by its shell.
. "$(dirname "$0")/lib.sh"

# generated DIR: files that git has and .gitignore says it should not have
generated() {
    local said
    said=$(git -C "$1" ls-files -ci --exclude-standard)
    [ -z "$said" ] || { echo "generated, yet in git: $said"; return 1; }
}

syntax() {
    local file shell status=0
    for file; do
        case $(head -c 12 "$file" | tr -d "\0") in
        '#!/bin/sh'*) shell=sh ;;
        '#!/bin/bash'*) shell=bash ;;
        *) continue ;;
        esac
        "$shell" -n "$file" || status=1
        [ -x "$file" ] || { echo "$file: not executable"; status=1; }
    done
    return "$status"
}

printf '#!/bin/sh\nif true; then\n' >"$tmp/bad"
chmod +x "$tmp/bad"
must_fail "a broken script" syntax "$tmp/bad"
printf '#!/bin/sh\n' >"$tmp/bad"
chmod -x "$tmp/bad"
must_fail "a script that cannot be run" syntax "$tmp/bad"

find "$srcdir/tools" "$srcdir/tests" "$srcdir/.ci" "$srcdir/bench" -path '*/corpus' -prune -o -type f -print0 \
    2>/dev/null >"$tmp/files"
mapfile -d '' -t files <"$tmp/files"
syntax "${files[@]}" || exit 1

# A distribution is no checkout, even where it was unpacked inside of one.
[ -e "$srcdir/.git" ] || exit 0
need git
git init -q "$tmp/git"
echo '*.o' >"$tmp/git/.gitignore"
touch "$tmp/git/x.o"
git -C "$tmp/git" add -f .gitignore x.o
must_fail "an object file" generated "$tmp/git"
generated "$srcdir"
