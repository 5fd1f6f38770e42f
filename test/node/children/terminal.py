# Usage: terminal.py COMMAND… Runs it at a terminal of its own. Types there what it gets as lines on standard input,
# "^D" and "^C" as those keys; in "text => shown" it goes on when that is shown. Prints all that the terminal shows.
import os, pty, sys

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
shown = b""
keys = [line.rstrip("\n") for line in sys.stdin]


def wait_for(text):
    global shown
    while text not in shown:
        try:
            part = os.read(terminal, 1000)
        except OSError:
            return False
        if not part:
            return False
        shown += part
    return True


for key in keys:
    text, _, awaited = key.partition(" => ")
    if text != "":
        os.write(terminal, {"^D": b"\x04", "^C": b"\x03"}.get(text, text.encode() + b"\n"))
    if awaited and not wait_for(awaited.encode()):
        break
wait_for(b"\0")
_, status = os.waitpid(pid, 0)
sys.stdout.write(shown.decode().replace("\r\n", "\n"))
sys.exit(os.waitstatus_to_exitcode(status) % 256)
