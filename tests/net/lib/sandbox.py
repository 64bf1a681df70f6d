# SPDX-License-Identifier: GPL-2.0-or-later
"""One scenario's own world.

Each scenario runs as the first process of a PID namespace, in a mount namespace of its own with
an empty /run, /var/lib and bpffs. Whatever way it ends, kill -9 included, the kernel then ends all
that it started and drops its pins, network namespaces and files: nothing is left to clean.
"""

import os
import signal
import sys

from . import kernel

WORK = "/run/work"  # of the scenario: configs, logs, load files


def _make_private():
    """Nothing that is mounted from here on is seen outside.

    A chroot's root need not be a mount point, and then cannot be told so itself. Entering the
    mount namespace that we are in leads to its real root; from there the way back is a chroot.
    """
    cwd = os.getcwd()
    here, namespace = os.open("/", os.O_RDONLY), os.open("/proc/self/ns/mnt", os.O_RDONLY)
    kernel.setns(namespace, kernel.CLONE_NEWNS)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    os.fchdir(here)
    os.chroot(".")
    os.close(here)
    os.close(namespace)
    # ip(8) in its own mount namespace wants the same of "/": from here on it is a mount point.
    kernel.mount("/", "/", None, kernel.MS_BIND | kernel.MS_REC)
    os.chroot("/..")
    os.chdir(cwd)


def _furnish():
    _make_private()
    kernel.mount("proc", "/proc", "proc")
    kernel.mount("run", "/run", "tmpfs")
    kernel.mount("lib", "/var/lib", "tmpfs")
    for folder in ("/run/netns", "/run/sluice", WORK):
        os.mkdir(folder, 0o755)
    kernel.mount("bpf", "/sys/fs/bpf", "bpf")


def _first_process(function, output):
    kernel.die_with_parent()
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout.reconfigure(line_buffering=True)
    try:
        _furnish()
        code = function()
    except BaseException:  # all of it belongs into the report
        import traceback
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def start(function, output):
    """Runs function() in a new world, its output to a descriptor. Returns the pid to wait for.

    The exit status is what function() returned. Killing the pid ends the world.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        kernel.die_with_parent()
        os.setpgid(0, 0)
        kernel.unshare(kernel.CLONE_NEWPID | kernel.CLONE_NEWNS)
        first = os.fork()
        if first == 0:
            _first_process(function, output)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _, status = os.waitpid(first, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    except OSError as e:
        os.write(output, f"sandbox: {e}\n".encode())
        os._exit(1)
