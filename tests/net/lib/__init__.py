# SPDX-License-Identifier: GPL-2.0-or-later
"""What the net tests are built from: namespaces, links, clients, a sink, frames, the gate."""
