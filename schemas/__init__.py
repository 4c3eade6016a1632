"""Everything that crosses a border, as data: no sockets, no clock, no environment."""
