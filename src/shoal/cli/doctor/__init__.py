"""`shoal doctor`: what works between this machine and others, and what to do about the rest."""
