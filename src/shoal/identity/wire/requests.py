"""Moved to `shoal.identity.trust_request`; import from `shoal.identity`."""

from shoal.identity.trust_request import PAYLOAD_SIZE_MAX, TRUST_REQUEST_TYPE, TrustRequest

__all__ = ["PAYLOAD_SIZE_MAX", "TRUST_REQUEST_TYPE", "TrustRequest"]
