"""From a device id to a channel: signalling, ICE, TLS, mux."""
