# SPDX-License-Identifier: GPL-2.0-or-later
"""Real MTAs in roots and namespaces of their own, to be run inside a world of tests/net's sandbox.

	import mx.kinds
	mta = mx.kinds.Postfix(net)	net: lib.topology.Net; the MTA is its server
	mta.start()			returns once it greets over IPv4 and IPv6
	mta.run("postqueue", "-j")	a command inside
	mta.root + "/etc/..."		its files, seen from outside, also before the start
	mta.counted()			mails it says it has accepted and thrown away
	mta.set_load(20)		what it takes for the load average
	mta.stop()

Mail for example.test is accepted and thrown away; anything else is no business of it. The cached
root is never written: an overlay lies over it, and goes with the world.
"""
