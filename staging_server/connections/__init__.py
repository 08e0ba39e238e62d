"""Sockets and connections: listening, accepting, TLS, limits on their number and their pace, and leaving."""
