// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flood.c - SYNs that no TCP stands behind: each from a random source, none ever retransmitted.
 *
 *	flood INTERFACE DEST-MAC DEST-ADDRESS RATE SECONDS SEED
 *
 * Frames leave by AF_PACKET, past the queueing discipline; checksums are right, or the stack would
 * drop them before it does any work. RATE is frames a second, 0 for as fast as it goes. One line of
 * JSON at the end. Ends by itself after SECONDS, on SIGTERM at once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH	    64
#define FRAME_MAX   80
#define SECONDS_MAX 3600
#define TICK_NS	    1000000 /* between batches of a paced flood */

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t length;
};

static struct {
	int socket, family;
	struct sockaddr_ll link;
	uint8_t dest[16];
	uint64_t random;
	struct frame frames[BATCH];
	struct iovec vectors[BATCH];
	struct mmsghdr messages[BATCH];
} g;

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	(void)number;
	stopped = 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t draw(void)
{
	g.random ^= g.random >> 12;
	g.random ^= g.random << 25;
	g.random ^= g.random >> 27;
	return g.random * 2685821657736338717ULL;
}

static uint32_t sum(uint32_t total, const void *data, size_t length)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i + 1 < length; i += 2)
		total += (uint32_t)(byte[i] << 8 | byte[i + 1]);
	return total;
}

static uint16_t fold(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return htons((uint16_t)~total);
}

/* Unicast, neither loopback nor the benchmark range, which holds the server and its neighbours. */
static uint32_t random_v4(void)
{
	uint32_t address;

	do {
		address = (uint32_t)(draw() >> 32);
	} while (address >> 24 == 0 || address >> 24 == 127 || address >> 24 >= 224 ||
		 address >> 17 == 0xc612 >> 1);
	return address;
}

static void write_tcp(struct tcphdr *tcp, uint32_t pseudo)
{
	uint64_t dice = draw();
	uint8_t *option = (uint8_t *)(tcp + 1);

	memset(tcp, 0, sizeof(*tcp));
	tcp->source = htons((uint16_t)(1024 + dice % 64000));
	tcp->dest = htons(25);
	tcp->seq = (uint32_t)(dice >> 32);
	tcp->doff = 6;
	tcp->syn = 1;
	tcp->window = htons(64240);
	memcpy(option, (uint8_t[]){TCPOPT_MAXSEG, TCPOLEN_MAXSEG, 1460 >> 8, 1460 & 0xff}, 4);
	tcp->check = fold(sum(pseudo + IPPROTO_TCP + 24, tcp, 24));
}

static void write_v4(struct frame *f)
{
	struct iphdr *ip = (struct iphdr *)(f->bytes + ETH_HLEN);
	uint32_t source = htonl(random_v4());

	memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = htons(44);
	ip->id = (uint16_t)draw();
	ip->ttl = 64;
	ip->protocol = IPPROTO_TCP;
	memcpy(&ip->saddr, &source, 4);
	memcpy(&ip->daddr, g.dest, 4);
	ip->check = fold(sum(0, ip, 20));
	write_tcp((struct tcphdr *)(ip + 1), sum(0, &ip->saddr, 8));
	f->length = ETH_HLEN + 44;
}

static void write_v6(struct frame *f)
{
	struct ip6_hdr *ip = (struct ip6_hdr *)(f->bytes + ETH_HLEN);
	uint64_t high = draw(), low = draw();

	memset(ip, 0, sizeof(*ip));
	ip->ip6_flow = htonl(6U << 28);
	ip->ip6_plen = htons(24);
	ip->ip6_nxt = IPPROTO_TCP;
	ip->ip6_hlim = 64;
	memcpy(ip->ip6_src.s6_addr, &high, 8);
	memcpy(ip->ip6_src.s6_addr + 8, &low, 8);
	ip->ip6_src.s6_addr[0] = 0x24; /* global unicast, not the documentation prefix */
	memcpy(ip->ip6_dst.s6_addr, g.dest, 16);
	write_tcp((struct tcphdr *)(ip + 1), sum(0, &ip->ip6_src, 32));
	f->length = ETH_HLEN + 64;
}

static int set_up(char **argv)
{
	unsigned int mac[6];
	int on = 1;

	g.family = strchr(argv[3], ':') ? AF_INET6 : AF_INET;
	g.link = (struct sockaddr_ll){.sll_family = AF_PACKET,
				      .sll_ifindex = (int)if_nametoindex(argv[1])};
	if (!g.link.sll_ifindex || inet_pton(g.family, argv[3], g.dest) != 1 ||
	    sscanf(argv[2], "%x:%x:%x:%x:%x:%x", mac, mac + 1, mac + 2, mac + 3, mac + 4,
		   mac + 5) != 6) {
		fprintf(stderr, "flood: no such interface, MAC or address\n");
		return -1;
	}
	g.socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (g.socket < 0 || bind(g.socket, (struct sockaddr *)&g.link, sizeof(g.link))) {
		fprintf(stderr, "flood: %s: %s\n", argv[1], strerror(errno));
		return -1;
	}
	setsockopt(g.socket, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on));
	for (int i = 0; i < BATCH; i++) {
		uint8_t *byte = g.frames[i].bytes;

		for (int j = 0; j < 6; j++)
			byte[j] = (uint8_t)mac[j];
		byte[6] = 0x02;
		byte[11] = 0xff;
		byte[12] = g.family == AF_INET ? 0x08 : 0x86;
		byte[13] = g.family == AF_INET ? 0x00 : 0xdd;
		g.vectors[i].iov_base = byte;
		g.messages[i].msg_hdr.msg_iov = &g.vectors[i];
		g.messages[i].msg_hdr.msg_iovlen = 1;
	}
	return 0;
}

/* Returns how many left; those that the interface had no room for are not sent again. */
static unsigned int send_batch(unsigned int n)
{
	int sent;

	for (unsigned int i = 0; i < n; i++) {
		if (g.family == AF_INET)
			write_v4(&g.frames[i]);
		else
			write_v6(&g.frames[i]);
		g.vectors[i].iov_len = g.frames[i].length;
	}
	sent = sendmmsg(g.socket, g.messages, n, 0);
	return sent < 0 ? 0 : (unsigned int)sent;
}

static void run(double rate, double seconds)
{
	double start = now(), at;
	unsigned long long tried = 0, sent = 0;

	for (at = 0; at < seconds && !stopped; at = now() - start) {
		double due = rate > 0 ? at * rate - (double)tried : BATCH;
		unsigned int n = due > BATCH ? BATCH : due > 0 ? (unsigned int)due : 0;

		if (n) {
			sent += send_batch(n);
			tried += n;
		}
		if (rate > 0 && due < BATCH)
			nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
	}
	printf("{\"sent\": %llu, \"tried\": %llu, \"seconds\": %.2f}\n", sent, tried, at);
}

int main(int argc, char **argv)
{
	double rate, seconds;

	if (argc != 7) {
		fprintf(stderr, "usage: flood INTERFACE MAC ADDRESS RATE SECONDS SEED\n");
		return 2;
	}
	rate = atof(argv[4]);
	seconds = atof(argv[5]);
	if (rate < 0 || seconds <= 0 || seconds > SECONDS_MAX || set_up(argv))
		return 1;
	g.random = strtoull(argv[6], NULL, 10) * 0x9e3779b97f4a7c15ULL + 1;
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	run(rate, seconds);
	return 0;
}
