# SPDX-License-Identifier: GPL-2.0-or-later
"""A function in a process and a network namespace of its own, with its result handed back."""

import os
import pickle
import resource
import select
import signal
import sys
import time
import traceback

from . import kernel


class Child:
    """Runs function(*args) in a namespace (a path); result() waits for what it returns.

    With ready=True the function's first argument is a callable that it calls once it has set
    itself up, and the constructor waits for that. With stop=True the next one is a descriptor that
    becomes readable when stop() is called.
    """

    def __init__(self, namespace, function, *args, ready=False, stop=False):
        self.name = function.__name__
        result_in, result_out = os.pipe()
        ready_in, ready_out = os.pipe()
        stop_in, stop_out = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            for fd in (result_in, ready_in, stop_out):
                os.close(fd)
            extra = []
            if ready:
                extra.append(lambda: os.write(ready_out, b"1"))
            if stop:
                extra.append(stop_in)
            self._run(namespace, function, (*extra, *args), result_out)
        for fd in (result_out, ready_out, stop_in):
            os.close(fd)
        self.result_fd, self.stop_fd = result_in, stop_out
        if ready:
            os.read(ready_in, 1)  # or the end of the file: then result() says why
        os.close(ready_in)

    @staticmethod
    def _run(namespace, function, args, result_out):
        try:
            kernel.die_with_parent()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            enter(namespace)
            answer = (True, function(*args))
        except BaseException:
            answer = (False, traceback.format_exc())
        with os.fdopen(result_out, "wb") as f:
            pickle.dump(answer, f)
        os._exit(0)

    def stop(self):
        if self.stop_fd is not None:
            os.close(self.stop_fd)
            self.stop_fd = None

    def result(self, timeout=200):
        data, end = b"", time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.result_fd], [], [], left)[0]:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise TimeoutError(f"{self.name} has not ended after {timeout} s")
            piece = os.read(self.result_fd, 1 << 20)
            if not piece:
                break
            data += piece
        os.close(self.result_fd)
        os.waitpid(self.pid, 0)
        if not data:
            raise RuntimeError(f"{self.name} died without a result")
        ok, value = pickle.loads(data)
        if not ok:
            raise RuntimeError(f"{self.name} failed:\n{value}")
        return value

    def finish(self, timeout=30):
        """stop() and result() in one."""
        self.stop()
        return self.result(timeout)


def enter(namespace):
    """This process into a network namespace. Mounts stay as they are (unlike `ip netns exec`)."""
    if namespace:
        fd = os.open(namespace, os.O_RDONLY)
        kernel.setns(fd)
        os.close(fd)


def within(namespace, function, *args):
    """Calls function(*args) in a namespace and returns its result."""
    return Child(namespace, function, *args).result()


def raise_file_limit(wanted=65536):
    """So many open files; where that is not allowed, as many as the machine gives."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in (max(hard, wanted), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return
        except (ValueError, OSError):  # raising the hard limit takes CAP_SYS_RESOURCE
            pass
