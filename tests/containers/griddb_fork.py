"""Run by test_griddb_jvm.py: starts the JVM, forks, and tells from the child what became of it."""

from __future__ import annotations

import gc
import os
import sys

from gridwatch.containers import jvm
from gridwatch.errors import StoreError


def main() -> None:
    """Fork once; the child's exit status is 3 when it was refused at once."""
    jvm.start_jvm(os.environ)
    held = jvm.java_class("java.util.ArrayList")()
    held.add("held across the fork")
    child = os.fork()
    if child == 0:
        try:
            jvm.start_jvm(os.environ)
        except StoreError as error:
            print(error, flush=True)
            del held
            # JPype must not want a collection of the JVM's as well, which comes with the memory in use.
            for size in range(20):
                kept = [bytes(1 << 20) for _ in range(5 * size)]
                gc.collect()
                del kept
            # The ordinary end of a process, with all that runs at exit.
            sys.exit(3)
        sys.exit(4)
    _, status = os.waitpid(child, 0)
    print(f"child {os.waitstatus_to_exitcode(status)}, parent {held.size()}")


if __name__ == "__main__":
    main()
