# SPDX-License-Identifier: GPL-2.0-or-later
"""The MTAs and their configurations: each accepts mail for example.test and throws it away."""

from lib.topology import server_v4, server_v6

from .root import Mta


class Postfix(Mta):
    """Debian's defaults: 100 smtpd at most."""

    cached = "postfix"
    words = ("status=sent",)
    command = ("postfix", "start-fg")
    settings = {}

    def prepare(self):
        settings = {
            "compatibility_level": "3.6", "myhostname": self.host, "mydestination": "",
            "inet_protocols": "all", "inet_interfaces": "all", "mynetworks": "127.0.0.0/8",
            "relay_domains": "example.test", "transport_maps": "inline:{example.test=discard:}",
            "smtpd_relay_restrictions": "reject_unauth_destination",
            "smtpd_tls_security_level": "none", "alias_maps": "", "maillog_file": "",
        } | self.settings
        self.write("/etc/postfix/main.cf",
                   "".join(f"{k} = {v}\n" for k, v in settings.items()))


class Postfix400(Postfix):
    """Postfix with default_process_limit = 400."""

    settings = {"default_process_limit": 400}


class Exim(Mta):
    """Exim's own default of 20 connections (smtp_accept_max)."""

    cached = "exim"
    words = (":blackhole:",)
    command = ("exim4", "-bdf", "-q30m")
    settings = {}

    def prepare(self):
        main = {
            "primary_hostname": self.host, "domainlist relay_domains": "example.test",
            "acl_smtp_rcpt": "acl_rcpt", "host_lookup": "", "rfc1413_query_timeout": "0s",
            "log_file_path": "syslog", "syslog_duplication": "false", "tls_advertise_hosts": "",
            "never_users": "root", "queue_run_max": "1",
        } | self.settings
        self.write("/etc/exim4/exim4.conf", "".join(f"{k} = {v}\n" for k, v in main.items()) + """
begin acl
acl_rcpt:
  accept domains = +relay_domains
  deny

begin routers
sink:
  driver = redirect
  data = :blackhole:

begin transports

begin retry
* * F,2h,15m
""")


class Exim100(Exim):
    """Exim with smtp_accept_max = 100."""

    settings = {"smtp_accept_max": "100"}


class Sendmail(Mta):
    """sendmail with no limit of its own."""

    cached = "sendmail"
    words = ("stat=Sent",)
    command = ("sendmail", "-bD", "-q10m")
    defines = {}
    macros = """divert(0)dnl
include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(`debian')dnl
DOMAIN(`debian-mta')dnl
undefine(`confHOST_STATUS_DIRECTORY')dnl
FEATURE(`no_default_msa')dnl
MAILER_DEFINITIONS
MAILER(`local')dnl
MAILER(`smtp')dnl
"""

    def prepare(self):
        # An explicit IPv6 address: the wildcards of both families get in each other's way for 45 s.
        ours = "".join(f"DAEMON_OPTIONS(`Family={family}, Name=MTA-{family}, Port=smtp, "
                       f"Addr={address}')dnl\n"
                       for family, address in (("inet", "0.0.0.0"), ("inet6", server_v6())))
        ours += "".join(f"define(`{k}', `{v}')dnl\n" for k, v in ({
            "confTO_IDENT": "0", "confSERVICE_SWITCH_FILE": "/etc/mail/service.switch",
            "confDOMAIN_NAME": self.host, "LUSER_RELAY": "local:sink",
        } | self.defines).items())
        ours += "FEATURE(`accept_unresolvable_domains')dnl\nLOCAL_DOMAIN(`example.test')dnl\n"
        self.write("/etc/mail/sendmail.mc",
                   self.macros.replace("MAILER_DEFINITIONS", ours + "MAILER_DEFINITIONS"))
        self.write("/etc/mail/service.switch", "hosts\tfiles\naliases\tfiles\n")
        self.write("/etc/mail/aliases", "postmaster: root\nMAILER-DAEMON: postmaster\n"
                   "sink: /dev/null\n")
        self.write("/etc/hosts", "127.0.0.1 localhost\n"
                   f"{server_v4()} {self.host} mx\n{server_v6()} {self.host} mx\n")
        self.prepare_run("sh", "-c", "m4 /etc/mail/sendmail.mc > /etc/mail/sendmail.cf"
                         " && mkdir -p /var/run/sendmail/mta && newaliases")


class SendmailThrottle(Sendmail):
    """sendmail with ConnectionRateThrottle=15."""

    defines = {"confCONNECTION_RATE_THROTTLE": "15"}


class SendmailChildren(Sendmail):
    """sendmail with MaxDaemonChildren=40."""

    defines = {"confMAX_DAEMON_CHILDREN": "40"}


class SendmailDebian(Sendmail):
    """Debian's configuration: throttle 15, a greeting pause of 1 s, connections counted.

    Left out of its access file is what would turn one client down that sends a mail a second:
    the limit of 10 connections a client, and the pause of 5 s.
    """

    def prepare(self):
        with open(self.root + "/etc/mail/sendmail.mc") as f:
            self.macros = "".join(line for line in f if not line.startswith("DAEMON_OPTIONS"))
        self.write("/etc/mail/access", "Connect:127\tRELAY\n")
        self.write("/etc/mail/local-host-names", "localhost\nexample.test\n")
        self.prepare_run("sh", "-c", "makemap hash /etc/mail/access < /etc/mail/access")
        super().prepare()


class OpenSmtpd(Mta):
    """OpenSMTPD as it comes."""

    cached = "opensmtpd"
    words = ("result=Ok",)
    command = ("smtpd", "-F")

    def prepare(self):
        self.write("/etc/smtpd.conf", f"""
table aliases {{ "@" = "sink" }}
listen on 0.0.0.0 port 25 hostname {self.host}
listen on :: port 25 hostname {self.host}
action "sink" mda "cat >/dev/null" virtual <aliases>
match from any for domain "example.test" action "sink"
""")
        self.prepare_run("sh", "-c", "id sink 2>/dev/null || useradd -m -s /bin/sh sink")


KINDS = {"postfix": Postfix, "postfix400": Postfix400, "exim": Exim, "exim100": Exim100,
         "sendmail": Sendmail, "sendmail-throttle": SendmailThrottle,
         "sendmail-children": SendmailChildren, "sendmail-debian": SendmailDebian,
         "opensmtpd": OpenSmtpd}
