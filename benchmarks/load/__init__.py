"""Load proofs: a real `stompcore serve`, and a crowd of cheap WebSocket peers in front of it."""
