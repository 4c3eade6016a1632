"""The tables of the configuration file, one module for each part of the system that a table is for."""
