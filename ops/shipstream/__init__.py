"""ShipStream's management API: its webhooks listed, made, switched and deleted over JSON-RPC."""
