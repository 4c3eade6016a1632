"""What older versions left, frozen, and how it is made anew for a version that is released: `freeze.py`."""
