"""`shoal chat`: a conversation in a terminal, full-screen or in lines."""
