# SPDX-License-Identifier: GPL-2.0-or-later
#
#   make             build/sluiced and build/sluice
#   make check       all rings of tests: unit, packet, net, mta (as root)
#   make check-kernels   the packet ring and net scenarios in Debian's other kernels, in QEMU
#   make check-packages  the Debian package installed, upgraded under traffic, removed; the RPM spec
#   make bench       what decisions cost, end to end beside the peers: five minutes (as root)
#   make fuzz        libFuzzer on frames, config and class files, FUZZ_SECONDS=30 each
#   make soak        fuzzers, and faults by name while a storm runs, SOAK_SECONDS=300 (as root)
#   make demo        the same storm without Sluice and with it (as root)
#   make install     DESTDIR= PREFIX=/usr SYSCONFDIR=/etc
#   make lint        cppcheck, clang-tidy, both compilers, shell syntax
#   make format      make format-check
#
# V=1 shows the commands. CC=clang builds user space with clang.

PREFIX     ?= /usr
SBINDIR    ?= $(PREFIX)/sbin
SYSCONFDIR ?= /etc
DATADIR    ?= $(PREFIX)/share/sluice
LIBDIR     ?= $(PREFIX)/lib
UNITDIR    ?= $(LIBDIR)/systemd/system
SYSTEM_D   := sysusers.d tmpfiles.d modprobe.d
MANDIR     ?= $(PREFIX)/share/man
# Where bash-completion looks for the file of a command.
BASHDIR    ?= $(PREFIX)/share/bash-completion/completions
DESTDIR    ?=

ifeq ($(origin CC),default)
CC         := gcc
endif
CLANG      ?= clang
BPFTOOL    ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config
B          ?= build

V ?= 0
ifeq ($(V),1)
  Q =
  msg =
else
  Q = @
  msg = @printf '  %-7s %s\n' '$(1)' '$(2)';
  MAKEFLAGS += --no-print-directory
endif

VERSION  := 0.1.0
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-missing-field-initializers
CPPFLAGS += -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' -DSYSCONFDIR='"$(SYSCONFDIR)"' -Ibpf -Idaemon
HARDEN   := -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2
CFLAGS   ?= -O2 -g
CFLAGS_ALL = -std=c11 $(WARNINGS) $(HARDEN) $(CFLAGS)
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now $(LDFLAGS)

# The kernel's user headers of the machine, or the BPF build does not find asm/types.h.
TRIPLET    := $(shell $(CC) -print-multiarch 2>/dev/null)
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror -I/usr/include/$(TRIPLET) -Ibpf

DAEMON_LIBS := -lbpf -lelf -lz -linih -ljansson -lmnl -lcap -lpthread
TOOL_LIBS   := -ljansson -lbpf -lmnl -lpcap -lz -linih -lm -lpthread -lresolv
# Rooms of the daemon that do no I/O beyond the files they are given: tests link them.
PURE        := config config_load config_check config_values policy tier classes load log known \
               known_file recent history history_file suggest listed
# Those that the command line has too: to replay under a config as the daemon reads it, and to take
# away, or to look into, what a dead daemon has left in the kernel.
SHARED      := config config_load config_check config_values policy classes names hold netlink \
               kernel_tc log look foresee explain history history_file suggest suggest_json \
               listed
# The gate natively in virtual time, without the files: tests run it beside the kernel's.
REPLAY      := replay_clients replay_gate replay_sim replay_storm replay_tally

HEADERS   := $(wildcard bpf/*.h daemon/*.h tools/*.h tests/*/*.h)
DAEMON_O  := $(patsubst daemon/%.c,$(B)/daemon/%.o,$(wildcard daemon/*.c))
TOOLS_O   := $(patsubst tools/%.c,$(B)/tools/%.o,$(wildcard tools/*.c))
PURE_C    := $(wildcard $(PURE:%=daemon/%.c))
UNIT_C    := $(wildcard tests/unit/*.c)
PACKET_C  := $(wildcard tests/packet/*.c)
REPLAY_C  := $(REPLAY:%=tools/%.c)

.PHONY: all always demo fuzz soak bench bench-document bench-quick bench-record check check-unit check-packet check-net check-mta check-packages check-kernels install lint format format-check clean
.DELETE_ON_ERROR:
.PRECIOUS: $(B)/%/ $(B)/%.bpf.o $(B)/bench/%.skel.h
.DEFAULT_GOAL := all

all: $(B)/sluiced $(B)/sluice

$(B)/%/:
	$(Q)mkdir -p $@

# What is compiled in: 'make install SYSCONFDIR=' after a 'make' without it builds anew.
CONFIGURED := $(B)/configured
$(CONFIGURED): always
	$(Q)mkdir -p $(B) && echo '$(VERSION) $(SYSCONFDIR)' | cmp -s - $@ || \
		echo '$(VERSION) $(SYSCONFDIR)' >$@

$(B)/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) | $(B)/daemon/
	$(call msg,BPF,$@)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(B)/%.skel.h: $(B)/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

SKELETONS := $(patsubst bpf/%.bpf.c,$(B)/%.skel.h,$(wildcard bpf/*.bpf.c))
$(B)/daemon/kernel.o $(B)/daemon/kernel_hold.o $(B)/daemon/kernel_sessions.o: $(SKELETONS)
$(B)/daemon/%.o: daemon/%.c $(HEADERS) $(CONFIGURED) | $(B)/daemon/
	$(call msg,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) -isystem $(B) $(CFLAGS_ALL) -c $< -o $@

$(B)/tools/%.o: tools/%.c $(HEADERS) $(CONFIGURED) | $(B)/tools/
	$(call msg,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -c $< -o $@

$(B)/sluiced: $(DAEMON_O)
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ $(DAEMON_LIBS) -o $@

$(B)/sluice: $(TOOLS_O) $(SHARED:%=$(B)/daemon/%.o)
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ $(TOOL_LIBS) -o $@

# --- tests ------------------------------------------------------------------------------------

SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# The waiting room of HOLD too, over a netlink that the test plays.
$(B)/tests/unit: $(UNIT_C) $(PURE_C) $(REPLAY_C) daemon/hold.c daemon/pacing.c $(HEADERS) | $(B)/tests/
	$(call msg,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests/unit -Itools -std=c11 $(WARNINGS) -O1 -g $(SANITIZE) \
		$(UNIT_C) $(PURE_C) $(REPLAY_C) daemon/hold.c daemon/pacing.c \
		-lcunit -linih -lmnl -lm -lpthread -o $@

$(B)/tests/packet: $(PACKET_C) daemon/policy.c daemon/listed.c $(REPLAY_C) $(SKELETONS) $(HEADERS) | $(B)/tests/
	$(call msg,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests/packet -Itools -isystem $(B) -std=c11 $(WARNINGS) -O1 -g \
		$(PACKET_C) daemon/policy.c daemon/listed.c $(REPLAY_C) -lbpf -lelf -lz -lm -o $@

# The regression guard of speed: under 30 s, part of make check.
LAB_C := tests/bench/lab.c
BENCH_CC = $(CC) $(CPPFLAGS) -Itests/bench -isystem $(B) -isystem $(B)/bench -std=c11 $(WARNINGS) -O2 -g
$(B)/tests/bench: tests/bench/quick.c $(LAB_C) $(B)/bench/drive.skel.h $(SKELETONS) $(HEADERS) | $(B)/tests/
	$(call msg,CC,$@)
	$(Q)$(BENCH_CC) $< $(LAB_C) -lbpf -lelf -lz -o $@

BENCH_RECORD := tests/bench/recorded
bench-quick: $(B)/tests/bench
	$(Q)$< $(BENCH_RECORD)
bench-record: $(B)/tests/bench
	$(Q)$< -r $(BENCH_RECORD)

# The whole bench: five minutes, on a machine that does nothing else.
$(B)/bench/%.bpf.o: tests/bench/%.bpf.c $(HEADERS) | $(B)/bench/
	$(call msg,BPF,$@)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@
$(B)/bench/stages.bpf.o: $(wildcard bpf/*)
$(B)/bench/%.skel.h: $(B)/bench/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@
BENCH_SKELETONS := $(B)/bench/drive.skel.h $(B)/bench/stages.skel.h
$(B)/bench/%: tests/bench/%.c $(LAB_C) daemon/listed.c $(BENCH_SKELETONS) $(SKELETONS) $(HEADERS)
	$(call msg,CC,$@)
	$(Q)$(BENCH_CC) $< $(LAB_C) daemon/listed.c -lbpf -lelf -lz -lpthread -o $@
# Calls stay calls, but for what is inline in the kernel's program too.
$(B)/bench/paths: BENCH_CC += -fno-inline
bench: all $(patsubst %,$(B)/bench/%,accuracy costs live paths stages)
	$(Q)exec python3 -B tests/bench/run $(B)
# That run into docs/: its figures, tables and picture.
bench-document:
	$(Q)python3 -B tests/bench/document.py $(B)/bench.json

# libFuzzer on what reads bytes from outside: FUZZ_SECONDS each.
FUZZ_SECONDS ?= 30
# The parsers of import are the command line's.
IMPORT_C := $(wildcard tools/import_*.c)
$(B)/fuzz/import: FUZZ_C := $(IMPORT_C)
$(B)/fuzz/import: $(IMPORT_C)
$(B)/fuzz/capture: FUZZ_C := tools/replay_capture.c
$(B)/fuzz/capture: FUZZ_LIBS := -lpcap -lz
$(B)/fuzz/capture: tools/replay_capture.c
$(B)/fuzz/spf: FUZZ_C := tools/spf.c
$(B)/fuzz/spf: tools/spf.c
$(B)/fuzz/%: tests/fuzz/%.c $(PURE_C) $(HEADERS) | $(B)/fuzz/
	$(call msg,FUZZ,$@)
	$(Q)$(CLANG) $(CPPFLAGS) -Itests/unit -std=c11 -O1 -g -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all $< $(PURE_C) $(FUZZ_C) $(FUZZ_LIBS) -linih -lm -lpthread -o $@

fuzz: $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/*.c))
	$(Q)for target in $^; do \
		mkdir -p $$target.corpus && \
		$$target -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 $$target.corpus \
			2>&1 | tail -n 12 || exit 1; \
	done

# A hostile day: SOAK_SECONDS=300 is its short form.
SOAK_SECONDS ?= 300
soak: all $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/*.c))
	$(Q)exec scripts/soak -b $(B) $(SOAK_SECONDS)

check-unit: $(B)/tests/unit
	$(Q)tests/run unit
check-packet: $(B)/tests/packet
	$(Q)tests/run packet
check-net: all
	$(Q)tests/run net
check: all $(B)/tests/unit $(B)/tests/packet $(B)/tests/bench $(B)/mta/storm $(B)/mta/flood
	$(Q)tests/run unit packet bench net mta hooks

$(B)/mta/%: tests/mta/%.c | $(B)/mta/
	$(call msg,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(LDFLAGS_ALL) $< -lm -o $@

# The whole table: hours. tests/mta/run -h names the options, MTA_OPTIONS= hands them over.
check-mta: all $(B)/mta/storm $(B)/mta/flood
	$(Q)B=$(B) tests/mta/scenarios
	$(Q)B=$(B) exec tests/mta/run $(MTA_OPTIONS)

# The Debian package in a root of its own with a real systemd: three minutes.
check-packages: all
	$(Q)exec scripts/check-packages -b $(B)

# Other kernels, in QEMU: twenty minutes. KERNELS_OPTIONS='-k 6.1 -r packet' for one and one ring.
check-kernels: all $(B)/tests/packet
	$(Q)exec scripts/check-kernels -b $(B) $(KERNELS_OPTIONS)

# --- the demo ---------------------------------------------------------------------------------

$(B)/demo/%: demo/%.c | $(B)/demo/
	$(call msg,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(LDFLAGS_ALL) $< -lm -o $@

# exec: the demo ends with the make that started it, so no shell may stand between.
demo: all $(B)/demo/mta $(B)/demo/senders
	$(Q)exec python3 -B demo/run.py $(B) $(DEMO_OWNER)

# --- the rest ---------------------------------------------------------------------------------

install: all
	$(call msg,INSTALL,$(DESTDIR)$(SBINDIR))
	$(Q)install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(SYSCONFDIR)/sluice/conf.d
	$(Q)install -m 0755 $(B)/sluiced $(B)/sluice $(DESTDIR)$(SBINDIR)/
	$(Q)test -e $(DESTDIR)$(SYSCONFDIR)/sluice/sluice.conf || \
		install -m 0644 dist/sluice.conf $(DESTDIR)$(SYSCONFDIR)/sluice/sluice.conf
	$(Q)install -d $(DESTDIR)$(DATADIR)/hooks
	$(Q)install -m 0755 scripts/hooks/* $(DESTDIR)$(DATADIR)/hooks/
	$(Q)install -m 0755 scripts/known-senders $(DESTDIR)$(DATADIR)/
	$(Q)install -m 0644 dist/prometheus/sluice.rules.yml dist/grafana/sluice.json $(DESTDIR)$(DATADIR)/
	$(Q)install -d $(DESTDIR)$(UNITDIR) $(addprefix $(DESTDIR)$(LIBDIR)/,$(SYSTEM_D))
	$(Q)for unit in $(notdir $(wildcard dist/systemd/*.service)); do \
		sed -e 's|/usr/sbin/|$(SBINDIR)/|; s|/usr/share/sluice|$(DATADIR)|' \
			-e 's|/etc/sluice/|$(SYSCONFDIR)/sluice/|' \
			dist/systemd/$$unit >$(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
		chmod 0644 $(DESTDIR)$(UNITDIR)/$$unit; \
	done
	$(Q)for folder in $(SYSTEM_D); do \
		install -m 0644 dist/$$folder/sluice.conf $(DESTDIR)$(LIBDIR)/$$folder/ || exit 1; \
	done
	$(Q)install -d $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(BASHDIR)
	$(Q)for page in $(notdir $(wildcard man/*.[58])); do \
		to=$(DESTDIR)$(MANDIR)/man$${page##*.}/$$page; \
		sed 's|/etc/sluice/|$(SYSCONFDIR)/sluice/|g' man/$$page >$$to || exit 1; \
		chmod 0644 $$to; \
	done
	$(Q)install -m 0644 dist/completion/sluice $(DESTDIR)$(BASHDIR)/sluice
	$(Q)ln -sf sluice $(DESTDIR)$(BASHDIR)/sluiced

FORMATTED := $(wildcard bpf/*.[ch] daemon/*.[ch] tools/*.[ch] demo/*.[ch] tests/*/*.[ch])
format:
	$(Q)clang-format -i $(FORMATTED)
format-check:
	$(Q)clang-format --dry-run -Werror $(FORMATTED)

lint: $(B)/gate.skel.h
	$(Q)scripts/lint

clean:
	$(Q)rm -rf $(B)
