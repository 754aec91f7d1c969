dnl A flag is taken when compiler or linker take it without a word: clang only warns of unknown ones.

dnl PINPROXY_CFLAG(VARIABLE, FLAG): adds FLAG to VARIABLE when the compiler knows it.
AC_DEFUN([PINPROXY_CFLAG], [
    AC_MSG_CHECKING([whether $CC takes $2])
    pinproxy_saved=$CFLAGS
    CFLAGS="$CFLAGS -Werror $2"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
        [AC_MSG_RESULT([yes]); $1="${$1:+$$1 }$2"],
        [AC_MSG_RESULT([no])])
    CFLAGS=$pinproxy_saved
])

dnl PINPROXY_LDFLAG(VARIABLE, FLAG): the same for the linker.
AC_DEFUN([PINPROXY_LDFLAG], [
    AC_MSG_CHECKING([whether the linker takes $2])
    pinproxy_saved=$LDFLAGS
    pinproxy_saved_cflags=$CFLAGS
    CFLAGS="$CFLAGS -Werror $PINPROXY_CFLAGS"
    LDFLAGS="$LDFLAGS $2"
    AC_LINK_IFELSE([AC_LANG_PROGRAM()],
        [AC_MSG_RESULT([yes]); $1="${$1:+$$1 }$2"],
        [AC_MSG_RESULT([no])])
    LDFLAGS=$pinproxy_saved
    CFLAGS=$pinproxy_saved_cflags
])

dnl PINPROXY_MUST_LINK(FLAG, MESSAGE): an error unless a program can be built with FLAG.
AC_DEFUN([PINPROXY_MUST_LINK], [
    AC_MSG_CHECKING([whether $CC builds with $1])
    pinproxy_saved=$CFLAGS
    CFLAGS="$CFLAGS $1"
    AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AC_MSG_RESULT([yes])],
        [AC_MSG_RESULT([no]); AC_MSG_ERROR([$2])])
    CFLAGS=$pinproxy_saved
])

dnl PINPROXY_FORTIFY(VARIABLE): the highest level that compiler and libc have, if the user's flags
dnl optimise and name no level themselves.
AC_DEFUN([PINPROXY_FORTIFY], [
    AC_MSG_CHECKING([for _FORTIFY_SOURCE])
    pinproxy_result=no
    AS_CASE([" $CPPFLAGS $CFLAGS "], [*_FORTIFY_SOURCE*], [pinproxy_result="as the user says"],
        [pinproxy_saved=$CFLAGS
         for pinproxy_level in 3 2; do
            pinproxy_flags="-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$pinproxy_level"
            CFLAGS="$pinproxy_saved -Werror $pinproxy_flags"
            AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
                #ifndef __OPTIMIZE__
                #error FORTIFY needs optimisation
                #endif
                #include <string.h>]])],
                [pinproxy_result=$pinproxy_level; $1="${$1:+$$1 }$pinproxy_flags"; break])
         done
         CFLAGS=$pinproxy_saved])
    AC_MSG_RESULT([$pinproxy_result])
])
