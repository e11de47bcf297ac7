"""The real peers, ready to be talked to: processes, namespaces, a bare socket.

Everything here waits for states with a deadline and ends what it started. Nothing here is part of
the package: tests, benches and soak runs import it as `tests.peers`.
"""
