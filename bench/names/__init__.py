"""The name server, measured: lookups, registrations, start-up, memory."""
