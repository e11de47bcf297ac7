"""Ports that the home router forwards to us: UPnP IGD and NAT-PMP."""
