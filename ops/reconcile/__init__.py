"""Fetches from a provider's API what webhooks lost, and puts it into `raw` as states; one file for each provider."""
