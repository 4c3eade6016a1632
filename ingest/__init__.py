"""HTTP request to one durable record of `raw`; knows endpoints and tokens, no secrets and no JSON."""
