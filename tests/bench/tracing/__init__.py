"""What traces cost a delivery."""
