"""Time alone: where it makes something due, up to when a group has read, and whether the clock is believed."""
