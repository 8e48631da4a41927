"""The one JVM of this process, which GridDB's Java clients run in; JPype lets a process start it only once."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import structlog

from gridwatch.errors import JavaError, StoreError
from gridwatch.java.compiler import compile_java
from gridwatch.java.jars import jars
from gridwatch.java.jre import find_jvm

__all__ = ["check_process", "java_class", "start_jvm", "usable"]

log = structlog.get_logger(__name__)

_SOURCES = Path(__file__).with_name("griddb_java")

_lock = threading.Lock()
_ready = False
_forked = False
_logger: Any = None


def _after_fork() -> None:
    """In a forked child the JVM's threads are gone: whatever waits for one of them would wait for ever."""
    global _forked, _lock
    _lock = threading.Lock()
    jpype = sys.modules.get("jpype")
    if jpype is None or not jpype.isJVMStarted():
        return
    _forked = True
    # At the end of the process JPype would wait for the JVM's threads.
    from jpype import config

    config.onexit = False
    # After Python's garbage collection JPype at times asks Java for one as well.
    gc.callbacks[:] = [call for call in gc.callbacks if getattr(call, "__module__", None) != "_jpype"]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def usable() -> bool:
    """Tell whether this process may call into its JVM: it runs, and was not started before a fork."""
    jpype = sys.modules.get("jpype")
    return not _forked and jpype is not None and bool(jpype.isJVMStarted())


def check_process() -> None:
    """Refuse to touch the JVM in a child that was forked after it had started.

    Raises:
        StoreError: This is such a child.
    """
    if _forked:
        raise StoreError(
            f"Process {os.getpid()} was forked from one whose JVM was running, and GridDB's client would hang in it. "
            "Start processes by spawn (multiprocessing.get_context('spawn'), subprocess), or open the store after the "
            "fork."
        )


def start_jvm(environ: Mapping[str, str], *, heap_mib: int | None = None) -> None:
    """Start the JVM with GridDB's clients, unless it runs already; safe from many threads.

    Args:
        environ: Environment variables, for Java and the cache of jars.
        heap_mib: Most memory of the Java heap in MiB; None leaves it to Java, a quarter of the machine's.

    Raises:
        StoreError: This process was forked from one whose JVM was running.
        JavaError: No Java, no jars, or the JVM does not start.
    """
    global _ready
    check_process()
    with _lock:
        if _ready:
            return
        import jpype

        class_path = jars("griddb", environ)
        class_path = [*class_path, compile_java(_SOURCES, class_path, environ)]
        if jpype.isJVMStarted():
            # Somebody else's, with another class path: JPype's own class loader takes more at any time.
            for path in class_path:
                jpype.addClassPath(path)
        else:
            _start(class_path, environ, heap_mib)
        _ready = True


def _start(class_path: list[Path], environ: Mapping[str, str], heap_mib: int | None) -> None:
    import jpype

    library, version = find_jvm(environ)
    # Signals stay Python's: without -Xrs the JVM would take SIGINT and SIGTERM away from it.
    options = ["-Xrs", "-Djava.awt.headless=true"]
    if heap_mib is not None:
        options.append(f"-Xmx{heap_mib}m")
    if version >= 22:
        options.append("--enable-native-access=ALL-UNNAMED")
    try:
        jpype.startJVM(
            str(library), *options, classpath=[str(path) for path in class_path], convertStrings=False, interrupt=False
        )
    except (OSError, RuntimeError, jpype.JVMNotFoundException, jpype.JVMNotSupportedException) as error:
        raise JavaError(f"The JVM {str(library)!r} does not start: {error}. Set JAVA_HOME to another Java.") from error
    # The clients' own log lines (failover, pools) would go to the error output; what matters comes as an error.
    # Java forgets a logger and its level when nobody holds it.
    global _logger
    _logger = jpype.JClass("java.util.logging.Logger").getLogger("com.toshiba.mwcloud.gs")
    _logger.setLevel(jpype.JClass("java.util.logging.Level").OFF)
    log.info("jvm_started", java=version, library=str(library))


@cache
def java_class(name: str) -> Any:
    """Return a Java class by its full name; the JVM must have been started."""
    import jpype

    return jpype.JClass(name)
