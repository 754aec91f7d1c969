#!/bin/bash
# The programs are hardened. This reads the built programs, not the options of the build.
. "$(dirname "$0")/lib.sh"
need readelf

# Each takes an ELF program.
pie() { readelf -hW "$1" | grep -q 'Type: *DYN'; }
relro() { readelf -lW "$1" | grep -q 'GNU_RELRO'; }
bind_now() { readelf -dW "$1" | grep -q 'Flags:.*NOW'; }
stack_not_executable() { readelf -lW "$1" | grep -q 'GNU_STACK.* RW '; }
stack_protector() { readelf -sW "$1" | grep -q '__stack_chk_fail'; }
fortify() { readelf -sW "$1" | grep -qE ' __[a-z]+_chk(@|$)'; }

# Takes an archive. The linker drops the mark from a program when libc's start files lack it, as
# Debian's do; so every object file of ours is asked.
branch_protection() {
    local all marked
    all=$(ar t "$1" | wc -l)
    marked=$(readelf -nW "$1" | grep -c 'x86 feature:.*IBT.*SHSTK')
    [ "$all" -gt 0 ] && [ "$marked" -eq "$all" ]
}

checks="pie relro bind_now stack_not_executable stack_protector"
[ "${PINPROXY_FORTIFY:-yes}" = yes ] && checks="$checks fortify"

cc=${PINPROXY_CC:-cc}
cat >"$tmp/bad.c" <<'END'
#include <string.h>
int main(int argc, char **argv)
{
    char buf[64];
    strcpy(buf, argv[argc - 1]);
    return buf[0];
}
END
# shellcheck disable=SC2086 # $cc may carry flags
$cc -w -O1 -U_FORTIFY_SOURCE -fno-stack-protector -fcf-protection=none -fno-pie -c \
    "$tmp/bad.c" -o "$tmp/bad.o" &&
    $cc -no-pie -Wl,-z,norelro -Wl,-z,lazy -Wl,-z,execstack "$tmp/bad.o" -o "$tmp/bad" &&
    ar rc "$tmp/bad.a" "$tmp/bad.o" || exit 1

for check in $checks; do
    must_fail "its absence" "$check" "$tmp/bad"
done
must_fail "its absence" branch_protection "$tmp/bad.a"

status=0
for program in "$pinproxyd" "$pinproxy"; do
    for check in $checks; do
        "$check" "$program" || { echo "$program: no $check"; status=1; }
    done
done
if [ "$(uname -m)" = x86_64 ] && ! branch_protection "$builddir/libpinproxy.a"; then
    echo "libpinproxy.a: object files without IBT and SHSTK"
    status=1
fi
exit "$status"
