"""Which way a connection took, in words and as JSON: for events, `shoal connect` and doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.net import AttemptTrace
    from shoal.net.ice import IcePath, PairReport

_MILLISECONDS = 1000  # in a second


def describe_path(path: IcePath | None) -> str:
    """Return the way in a line: what kind, from where to where, and how far that is."""
    if path is None:
        return "not by ICE"
    rtt = path.rtt * _MILLISECONDS
    return f"{path.kind.value}: {path.local.addr} to {path.remote.addr}, {rtt:.1f} ms"


def trace_to_json(trace: AttemptTrace) -> dict[str, Any]:
    """Return all that is known of an attempt to connect."""
    return {
        "attempt": trace.attempt,
        "device": trace.device.hex(),
        "account": trace.account.hex(),
        "is_caller": trace.is_caller,
        "way": trace.way.value,
        "steps": [{"event": each.event, "seconds": each.seconds} for each in trace.moments],
        "local_candidates": trace.local_candidates.splitlines()[2:],
        "remote_candidates": trace.remote_candidates.splitlines()[2:],
        "path": None if trace.path is None else _path_to_json(trace.path),
        "tls": trace.tls,
        "failed_step": None if trace.failed_step is None else trace.failed_step.value,
        "error": None if trace.error is None else str(trace.error),
    }


def _path_to_json(path: IcePath) -> dict[str, Any]:
    return {
        "kind": path.kind.value,
        "local": path.local.to_text(),
        "remote": path.remote.to_text(),
        "rtt": path.rtt,
        "is_incoming": path.is_incoming,
        "steps": [{"step": step, "seconds": seconds} for step, seconds in path.steps],
        "pairs": [_pair_to_json(pair) for pair in path.pairs],
    }


def _pair_to_json(pair: PairReport) -> dict[str, Any]:
    return {
        "local": str(pair.local.addr),
        "remote": str(pair.remote.addr),
        "outcome": pair.outcome.value,
        "detail": pair.detail,
        "seconds": pair.elapsed,
    }
