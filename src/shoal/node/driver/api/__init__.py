"""The node's API by name: what commands, the web and scripts call, in this process or another."""
