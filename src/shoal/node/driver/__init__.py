"""The node on a real machine: homes, sockets, threads, and the public API over them."""
