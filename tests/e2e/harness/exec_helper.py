"""A program for `via = exec:`: passes its standard input to a test over the Unix socket of its first argument.

The test then has the daemon's connection, without a copy of the bytes. The program ends when the test closes its end of
the Unix socket, with the status that the test sends, or 0.
"""

import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as test:
    test.connect(sys.argv[1])
    socket.send_fds(test, [b"x"], [0])
    nothing = os.open("/dev/null", os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    status = test.recv(1)
    sys.exit(status[0] if status else 0)
