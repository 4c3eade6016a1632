"""The HTTP server under the receiver: connections, their limits, the bodies they carry."""
