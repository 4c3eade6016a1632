"""How a client is let in: TLS with certificates that may be replaced, tokens, and why a cluster refuses."""
