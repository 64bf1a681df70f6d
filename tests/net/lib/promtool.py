# SPDX-License-Identifier: GPL-2.0-or-later
"""Prometheus' own checker. Installing Debian's package would start a server: it is unpacked."""

import glob
import os
import shutil
import subprocess

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                     "sluice-tests")


def _unpack():
    """Fetches the package into the cache. Returns None, or why it cannot be had."""
    for program in ("apt-get", "dpkg"):
        if not shutil.which(program):
            return f"there is no {program} to fetch Debian's package prometheus with"
    os.makedirs(CACHE, exist_ok=True)
    try:
        done = subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "-o",
                               "Acquire::http::Timeout=10", "-o", "Acquire::Retries=0",
                               "download", "prometheus"],
                              cwd=CACHE, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=45)
    except subprocess.TimeoutExpired:
        return "apt-get download prometheus does not come to its end"
    packages = glob.glob(os.path.join(CACHE, "prometheus_*.deb"))
    if done.returncode or not packages:
        said = (done.stderr.strip() or "no package came").splitlines()[-1]
        return f"apt-get download prometheus: {said}"
    folder = os.path.join(CACHE, "unpacked")
    subprocess.run(["dpkg", "-x", packages[0], folder], check=True)
    os.rename(os.path.join(folder, "usr/bin/promtool"), os.path.join(CACHE, "promtool"))
    shutil.rmtree(folder)
    for path in packages:
        os.unlink(path)
    return None


def find():
    """Returns (the program, None), or (None, why there is none)."""
    tool = shutil.which("promtool") or os.path.join(CACHE, "promtool")
    if os.access(tool, os.X_OK):
        return tool, None
    why = _unpack()
    return (None, why) if why else (tool, None)
