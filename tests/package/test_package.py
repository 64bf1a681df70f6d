# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages: what is in them, and a life of one with a real systemd. Run by check-packages."""

import glob
import os
import re
import shutil
import subprocess
import time

from lib import kernel
from lib.child import enter
from lib.clients import clients
from lib.gate import BUILD, TOP, xdp_on
from lib.sandbox import WORK
from lib.scenario import Skip, scenario
from lib.sink import sink
from lib.topology import Net, ip, server_v4, source_v4

VERSION = os.environ.get("SLUICE_VERSION")
# Where Debian's policy wants something elsewhere, compressed or besides.
OF_DEBIAN_ALONE = {"usr/share/doc/sluice/changelog.gz", "usr/share/doc/sluice/copyright"}


def package(version):
    folder = os.environ.get("SLUICE_PACKAGES")
    if not folder:
        raise Skip("no package was built: dpkg-dev and debhelper are needed")
    return glob.glob(os.path.join(folder, f"sluice_{version}_*.deb"))[0]


def files_below(folder):
    found = set()
    for path, _, names in os.walk(folder):
        found |= {os.path.relpath(os.path.join(path, n), folder) for n in names}
    return found


def make(build, *words):
    subprocess.run(["make", "-s", "-C", TOP, f"B={build}", *words], check=True,
                   stdout=subprocess.DEVNULL)


def make_install(*words, build=BUILD):
    """make install into a folder of its own. Returns it."""
    folder = os.path.join(WORK, f"install{len(glob.glob(WORK + '/install*'))}")
    make(build, "install", f"DESTDIR={folder}", *words)
    return folder


@scenario(limit=120)
def test_lintian(t):
    """lintian finds no error and no warning"""
    if not shutil.which("lintian"):
        raise Skip("there is no lintian")
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning",
                           package(VERSION).replace(".deb", ".changes")],
                          capture_output=True, text=True)
    t.check(done.returncode == 0, f"lintian: {done.stdout.strip() or 'nothing'}")


@scenario(limit=60)
def test_layout(t):
    """make install and the Debian package have the same files, with the same rights"""
    folder = os.path.join(WORK, "deb")
    subprocess.run(["dpkg-deb", "-x", package(VERSION), folder], check=True)
    installed = make_install("PREFIX=/usr", "UNITDIR=/lib/systemd/system")
    deb = {re.sub(r"(man\d/.*)\.gz$", r"\1", f) for f in files_below(folder)} - OF_DEBIAN_ALONE
    t.equal("files of one alone", sorted(deb ^ files_below(installed)), [])
    t.check(os.path.isdir(f"{folder}/etc/sluice/conf.d"), "conf.d is there")
    for name in sorted(files_below(installed)):
        packed = os.path.join(folder, name)
        if os.path.exists(packed):
            t.equal(f"mode of {name}", oct(os.stat(packed).st_mode),
                    oct(os.stat(os.path.join(installed, name)).st_mode))


@scenario(limit=60)
def test_local_prefix(t):
    """make install PREFIX=/usr/local: every path in units and scripts is one that was installed"""
    folder = make_install("PREFIX=/usr/local")
    names = {"/" + f for f in files_below(folder)}
    for unit in sorted(n for n in names if n.endswith(".service")):
        with open(folder + unit) as f:
            paths = re.findall(r"/usr/[a-z/-]*(?:sluiced?|hooks/\w+)\b", f.read())
        t.check(paths, f"{unit} names programs")
        t.equal(f"{unit}: paths that are not there", [p for p in paths if p not in names], [])
    t.equal("outside of /usr/local", sorted(n for n in names if not n.startswith("/usr/local/")),
            ["/etc/sluice/sluice.conf"])


@scenario(limit=90)
def test_local_settings(t):
    """make install SYSCONFDIR=/usr/local/etc after a plain make: the daemon reads from there"""
    build = os.path.join(WORK, "build")
    make(build, "-j2", "CFLAGS=-O0", "all")
    folder = make_install("-j2", "CFLAGS=-O0", "PREFIX=/usr/local", "SYSCONFDIR=/usr/local/etc",
                          build=build)
    t.check(os.path.isdir(f"{folder}/usr/local/etc/sluice/conf.d"), "conf.d is there")
    said = subprocess.run([f"{folder}/usr/local/sbin/sluiced", "-n"], capture_output=True,
                          text=True).stderr
    t.check("/usr/local/etc/sluice/sluice.conf" in said, f"sluiced -n: {said.strip()}")
    here, there = set(), set()
    for name in sorted(files_below(folder)):
        with open(os.path.join(folder, name), "rb") as f:
            found = re.findall(rb"(?:/usr/local)?/etc/sluice/", f.read())
        if found and ("/man/" in name or name.endswith(".service")):
            (here if set(found) == {b"/usr/local/etc/sluice/"} else there).add(name)
    t.equal("units and pages that name it", len(here), 4)
    t.equal("and that name another", sorted(there), [])


@scenario(limit=60)
def test_rpm_spec(t):
    """The RPM spec parses, and lists what make install installs"""
    if not shutil.which("rpmspec"):
        raise Skip("there is no rpmspec")
    spec = os.path.join(TOP, "dist/rpm/sluice.spec")
    done = subprocess.run(["rpmspec", "-P", spec], capture_output=True, text=True)
    t.equal("rpmspec -P", (done.returncode, done.stderr), (0, ""))
    listed = done.stdout.split("%files", 1)[1].split("%changelog")[0].split("\n")
    patterns = [line.split()[-1] for line in listed
                if "/" in line and line.split()[0] not in ("%dir", "%license", "%doc")]
    folder = make_install("PREFIX=/usr")
    names = {"/" + f for f in files_below(folder)}
    matched = set()
    for pattern in patterns:
        here = {n for n in names if n == pattern or n.startswith(pattern + "/") or
                re.fullmatch(re.escape(pattern).replace(r"\*", "[^/]*"), n)}
        t.check(here, f"{pattern} is installed")
        matched |= here
    t.equal("installed and not listed", sorted(names - matched), [])


METRICS = "/var/lib/prometheus/node-exporter"

# --- a life -------------------------------------------------------------------------------------

CONFIG = """[gate]
interface = s0
mode = enforce
xdp-mode = native
[limits]
connection-rate = 20/s
connection-burst = 20
retry-burst = 0
known-burst = 0
source-rate = off
subnet-rate = off
pace-horizon = 0
[classes]
trusted = /etc/sluice/trusted
"""
SECOND = CONFIG.replace("s0", "s1").replace("pace-horizon = 0", "pace-horizon = 1s") + f"""[metrics]
textfile = {METRICS}/sluice.prom
"""
RATE, BURST, GOOD = 20, 20, 5  # of the config, and connects a second of a trusted sender


class Machine:
    """A Debian with systemd in the server's network namespace."""

    def __init__(self, net):
        self.base = os.path.join(WORK, "machine")
        self.root = os.path.join(self.base, "root")
        kernel.mount("machine", WORK, "tmpfs")
        for name in ("upper", "work", "root"):
            os.makedirs(os.path.join(self.base, name))
        subprocess.run(["mount", "-t", "overlay", "-o",
                        f"lowerdir={os.environ['SLUICE_SYSTEMD_ROOT']},"
                        f"upperdir={self.base}/upper,workdir={self.base}/work",
                        "none", self.root], check=True)

        def prepare():
            kernel.die_with_parent()
            enter(net.server)
        self.log = open(os.path.join(WORK, "console"), "w")
        self.process = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", self.root, "--register=no", "--keep-unit",
             "--capability=all", "--system-call-filter=bpf perf_event_open", "--console=pipe", "-b"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=prepare)
        self.first = self._first_process()
        self.wait("systemctl is-system-running | grep -qE 'running|degraded'", 60)
        self.run("mount -t bpf bpf /sys/fs/bpf")

    def _first_process(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for path in glob.glob("/proc/[0-9]*/status"):
                try:
                    with open(path) as f:
                        text = f.read()
                except OSError:
                    continue
                if re.search(r"^Name:\tsystemd$", text, re.M):
                    return int(path.split("/")[2])
            time.sleep(0.1)
        raise RuntimeError("systemd does not start")

    def run(self, command, check=True):
        """A shell command in it. Returns what it says."""
        done = subprocess.run(["nsenter", "-t", str(self.first), "-m", "-p", "-n", "-i", "-u",
                               "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                               "DEBIAN_FRONTEND=noninteractive", "sh", "-c", command],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check and done.returncode:
            said = self.run("journalctl -n 30 -o cat --no-pager", check=False)
            raise RuntimeError(f"{command}: {done.stdout}{done.stderr}\n{said}")
        return done.stdout.strip()

    def wait(self, command, timeout=20):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.run(f"({command}) >/dev/null 2>&1 && echo yes", check=False) == "yes":
                return
            time.sleep(0.2)
        raise TimeoutError(f"{command}: not within {timeout} s")

    def write(self, path, text):
        with open(self.root + path, "w") as f:
            f.write(text)

    def files(self):
        """All that is on the disk, but for what a running system and dpkg write of themselves."""
        found = self.run("find / -xdev '(' -path /var/log -o -path /var/lib/dpkg -o -path /var/cache"
                         " -o -path /root -o -path /tmp -o -path /var/tmp ')' -prune -o -print")
        own = r"/etc/((passwd|group|shadow|gshadow)-?|machine-id|\.pwd\.lock)$|/var/lib/systemd/"
        return {f for f in found.splitlines() if not re.match(own, f)}

    def put(self, deb):
        shutil.copy(deb, self.root + "/root/")
        return "/root/" + os.path.basename(deb)


def exporter(machine):
    """A package with the name, the folder and the ownerships of Debian's node exporter."""
    folder = machine.root + "/root/exporter"
    os.makedirs(f"{folder}/DEBIAN")
    os.makedirs(f"{folder}/var/lib/prometheus/node-exporter")
    machine.write("/root/exporter/DEBIAN/control", "Package: prometheus-node-exporter\nVersion: 1\n"
                  "Architecture: all\nMaintainer: nobody <nobody@example.org>\n"
                  "Description: stands for it\n")
    machine.write("/root/exporter/DEBIAN/postinst", "#!/bin/sh\nset -e\n"
                  "id -u prometheus >/dev/null 2>&1 || useradd -r prometheus\n"
                  "chown prometheus:prometheus /var/lib/prometheus\n")
    machine.run("chmod 755 /root/exporter/DEBIAN/postinst; dpkg-deb -b /root/exporter /root/e.deb")
    return "/root/e.deb"


def tc(net, words):
    done = subprocess.run(["nsenter", f"--net={net.server}", "tc", *words.split()],
                          capture_output=True, text=True)
    return done.stdout.splitlines()


def qdiscs(net):
    """Of the interfaces in the server's namespace what is not the kernel's default."""
    return [q for q in tc(net, "qdisc show") if "noqueue" not in q and "pfifo_fast" not in q]


def under_traffic(t, net, what, function, empties):
    """Runs function while three times as much comes as may come in, and counts what does."""
    seconds = 12
    plan = [(n / (3 * RATE), source_v4(1 + n % 100), 0) for n in range(seconds * 3 * RATE)]
    plan += [(n / GOOD, source_v4(0), 0) for n in range(seconds * GOOD)]
    began = time.monotonic()
    traffic = clients(net, sorted(plan), server_v4(), patience=2, end=seconds + 2)
    time.sleep(3)
    from_here = time.monotonic()
    function()
    took = time.monotonic() - from_here
    attempts = traffic.result()
    good = [a for a in attempts if a.source == source_v4(0)]
    others = [a for a in attempts if a.source != source_v4(0) and a.connected is not None]
    t.note(f"{what}: took {took:.1f} s of {seconds}")
    t.equal(f"{what}: of a trusted sender's connects lost", sum(a.connected is None for a in good),
            0)
    # By now the bucket is drained: what comes in is the rate, and what an empty start grants once.
    # (Trusted ones are charged where there is room for it: others have what those leave.)
    near = sum(from_here < a.connected < from_here + took + 1 for a in others)
    t.between(f"{what}: of others let in during it and 1 s after", near,
              (RATE - GOOD) * took * 0.5, RATE * (took + 1) + BURST * empties + 5)
    took_all = max(a.connected for a in others) - began
    t.between(f"{what}: of others let in at all", len(others),
              RATE * (seconds - 2) - GOOD * seconds, RATE * took_all + BURST * (1 + empties) + 5)
    times = sorted(a.connected for a in others)
    widest = max(b - a for a, b in zip(times, times[1:]))
    t.between(f"{what}: the longest time that nobody was let in, s", widest, 0, 2.5)


def main_pids(machine):
    return [machine.run(f"systemctl show -p MainPID --value {unit}")
            for unit in ("sluiced", "sluiced@two")]


@scenario(limit=300)
def test_life(t):
    """Installed, started, upgraded under traffic, also to other maps, removed, purged: by systemd"""
    if not os.environ.get("SLUICE_SYSTEMD_ROOT"):
        raise Skip("no root with systemd: systemd-container and mmdebstrap are needed")
    first = package(VERSION)
    net = Net(links=2)
    served = sink(net)
    machine = Machine(net)
    before, bare = machine.files(), qdiscs(net)
    machine.run(f"dpkg -i {machine.put(first)}")
    t.equal("installed: state", machine.run("systemctl is-active sluiced", check=False), "inactive")
    t.equal("its user", machine.run("id -un sluice"), "sluice")
    machine.run(f"dpkg -i {exporter(machine)}")
    t.equal("the node exporter's folder, installed later, is its group's to write",
            machine.run(f"stat -c '%U %G %a' {METRICS}"), "root sluice 775")
    machine.write("/etc/sluice/conf.d/mx.conf", CONFIG.replace("mode = enforce\n", ""))
    machine.write("/etc/sluice/trusted", f"{source_v4(0)}/32\n")
    machine.run("mkdir /etc/sluice/two")
    machine.write("/etc/sluice/two/sluice.conf", SECOND)
    machine.run("systemctl enable --now sluiced sluiced@two sluice-hook 2>&1")
    machine.wait(f"test -s {METRICS}/sluice.prom")
    t.equal("started: state", machine.run("systemctl is-active sluiced"), "active")
    t.equal("the control socket", machine.run("stat -c '%U %G %a' /run/sluice/default/control"),
            "sluice sluice 660")
    t.check("monitor" in machine.run("sluice status"), "mode monitor unless something else is said")
    machine.write("/etc/sluice/conf.d/mx.conf", CONFIG)
    machine.run("systemctl reload sluiced")
    machine.wait("sluice status | grep -q enforce")
    pid, two = main_pids(machine)
    t.equal("runs as", machine.run(f"stat -c %U /proc/{pid}"), "sluice")
    caps = int(machine.run(f"grep CapEff /proc/{pid}/status").split()[1], 16)
    t.equal("capabilities: bpf and net_admin", caps, 1 << 39 | 1 << 12)

    for version, empties in ((VERSION + ".1", 0), (VERSION + ".2", 1)):
        deb = machine.put(package(version))
        said = []
        under_traffic(t, net, f"to {version}",
                      lambda: said.append(machine.run(f"dpkg -i {deb} 2>&1")), empties)
        t.equal(f"to {version}: complaints", [line for line in said[0].splitlines() if not re.match(
            r"\(Reading|Preparing|Unpacking|Setting up|Processing|Selecting", line)], [])
        t.check(version in machine.run("sluice --version"), f"{version} is installed")
        former, (pid, two) = (pid, two), main_pids(machine)
        t.check("0" not in (pid, two) and pid != former[0] and two != former[1],
                "other daemons run, of both instances")
    journal = machine.run("journalctl -u sluiced -o cat --no-pager")
    t.equal("what it could not do", re.findall(".*not permitted.*|.*denied.*", journal), [])
    empty = [line for line in journal.splitlines() if "empty" in line]
    t.check(len(empty) == 1, f"what begins empty after a change of maps is said once: {empty}")
    t.check(xdp_on(net, "s0"), "the filter is there")

    t.equal("the exporter's folder after upgrades", machine.run(f"stat -c '%U %G %a' {METRICS}"),
            "root sluice 775")
    t.check("slu-" in ip(net.server, "link show") and qdiscs(net) != bare, "HOLD has its device")

    machine.run("dpkg -r sluice")
    t.equal("removed: daemons", machine.run("pgrep -c sluice", check=False), "0")
    t.equal("removed: filters", [xdp_on(net, "s0"), xdp_on(net, "s1")], [None, None])
    t.equal("removed: pins", machine.run("ls -d /sys/fs/bpf/sluice 2>/dev/null", check=False), "")
    # Whose the qdisc is was noted in the maps that an upgrade changed: an empty one may be left.
    t.equal("removed: qdiscs", [q for q in qdiscs(net) if "clsact" not in q], bare)
    t.equal("removed: tc filters", tc(net, "filter show dev s1 ingress"), [])
    tc(net, "qdisc del dev s1 clsact")
    t.check("slu-" not in ip(net.server, "link show"), "removed: no devices of ours")
    t.equal("removed: metrics", machine.run(f"ls {METRICS}"), "")
    t.check(os.path.exists(machine.root + "/etc/sluice/conf.d/mx.conf"), "the settings stay")
    t.check(os.path.isdir(machine.root + "/var/lib/sluice"), "what it has learned stays")
    machine.run("dpkg -P sluice")
    t.equal("purged: the exporter's folder is as it was",
            machine.run(f"stat -c '%U %G %a' {METRICS}"), "root root 755")
    machine.run("dpkg -P prometheus-node-exporter; rm -rf /var/lib/prometheus")
    t.equal("purged: files that were not there before", sorted(machine.files() - before), [])
    t.equal("purged: /run", machine.run("ls -d /run/sluice* 2>/dev/null", check=False), "")
    t.equal("the user stays, without a shell", machine.run("getent passwd sluice").split(":")[-1],
            "/usr/sbin/nologin")

    # Once more, without an exporter, and straight to the purge.
    machine.run(f"dpkg -i /root/{os.path.basename(first)} && mkdir /etc/sluice/two")
    machine.write("/etc/sluice/two/sluice.conf", SECOND)
    machine.write("/etc/sluice/trusted", "")
    machine.run("systemctl enable --now sluiced@two 2>&1")
    machine.wait(f"test -s {METRICS}/sluice.prom")
    t.check(any("clsact" in q for q in qdiscs(net)), "HOLD has its qdisc")
    machine.run("dpkg -P sluice")
    t.equal("purged at once: qdiscs", qdiscs(net), bare)
    t.equal("purged at once: files that were not there before", sorted(machine.files() - before),
            [])
    machine.run("systemctl poweroff", check=False)
    served.finish()
