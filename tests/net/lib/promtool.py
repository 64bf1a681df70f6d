# SPDX-License-Identifier: GPL-2.0-or-later
"""Prometheus, its checker and its node exporter. Installing Debian's packages would start servers:
they are unpacked, once, into a cache outside of the tree."""

import fcntl
import glob
import os
import shutil
import subprocess

CACHE = os.environ.get("SLUICE_PROMETHEUS") or "/var/cache/sluice/prometheus"
PACKAGES = {"promtool": "prometheus", "prometheus": "prometheus",
            "prometheus-node-exporter": "prometheus-node-exporter"}
# A scenario's /var/lib is empty, and apt's lists lie there: in a mount namespace more it is not.
OUTSIDE = ["unshare", "-m", "sh", "-c", "umount /var/lib; exec \"$@\"", "sh"]


def _unpack(package):
    """Fetches a package into the cache. Returns None, or why it cannot be had."""
    for program in ("apt-get", "dpkg"):
        if not shutil.which(program):
            return f"there is no {program} to fetch Debian's package {package} with"
    folder = os.path.join(CACHE, "new")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    try:
        wrap = [] if os.path.isdir("/var/lib/apt") else OUTSIDE
        done = subprocess.run([*wrap, "apt-get", "-qq", "-o", "APT::Sandbox::User=root", "-o",
                               "Acquire::http::Timeout=10", "-o", "Acquire::Retries=0",
                               "download", package],
                              cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=45)
    except subprocess.TimeoutExpired:
        return f"apt-get download {package} does not come to its end"
    packages = glob.glob(os.path.join(folder, "*.deb"))
    if done.returncode or not packages:
        said = (done.stderr.strip() or "no package came").splitlines()[-1]
        return f"apt-get download {package}: {said}"
    subprocess.run(["dpkg", "-x", packages[0], os.path.join(folder, "all")], check=True)
    for program in glob.glob(os.path.join(folder, "all/usr/bin/*")):
        os.rename(program, os.path.join(CACHE, os.path.basename(program)))
    shutil.rmtree(folder)
    return None


def find(program="promtool"):
    """Returns (the path of one of PACKAGES' programs, None), or (None, why there is none)."""
    own = shutil.which(program)
    if own:
        return own, None
    path = os.path.join(CACHE, program)
    try:
        os.makedirs(CACHE, exist_ok=True)
        with open(os.path.join(CACHE, "lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # scenarios run side by side
            if os.access(path, os.X_OK):
                return path, None
            why = _unpack(PACKAGES[program])
    except OSError as e:
        return None, f"{program} cannot be kept in {CACHE}: {e.strerror}"
    return (None, why) if why else (path, None)
