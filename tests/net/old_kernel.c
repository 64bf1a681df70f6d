// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * old_kernel.c - bpf(2) as an older Linux has it, for a daemon that this is preloaded into: what came
 * after 5.15 and the daemon asks for is refused with the errors of a kernel that never heard of it.
 * What was refused goes to the file OLD_KERNEL_LOG, a word a time.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HAS_FRAGS   (1U << 5) /* BPF_F_XDP_HAS_FRAGS, Linux 5.18 */
#define TCX_INGRESS 46	      /* Linux 6.6 */
#define TCX_EGRESS  47

static long refuse(const char *what)
{
	const char *path = getenv("OLD_KERNEL_LOG");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;

	if (fd >= 0) {
		if (write(fd, what, strlen(what)) < 0)
			abort();
		close(fd);
	}
	errno = EINVAL;
	return -1;
}

long syscall(long number, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	if (number == SYS_bpf) {
		const union bpf_attr *attr = (const void *)a[1];

		if (a[0] == BPF_PROG_LOAD && (attr->prog_flags & HAS_FRAGS))
			return refuse("frags\n");
		if (a[0] == BPF_LINK_CREATE && (attr->link_create.attach_type == TCX_INGRESS ||
						attr->link_create.attach_type == TCX_EGRESS))
			return refuse("tcx\n");
	}
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
