#!/bin/sh
# Stands in for the unit tests where configure found no cmocka: never green.
echo "the unit tests were not built: configure found no cmocka (Debian: libcmocka-dev)"
exit 1
