"""A cluster with TLS, logins and an authorizer, and the certificates for it."""
