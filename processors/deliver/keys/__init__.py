"""The keys of deliveries: how the changelog has them, when they are forgotten, and where they are kept."""
