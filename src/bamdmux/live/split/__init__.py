"""Host and modem as two processes: what passes between them, and what happens when one of them dies."""
