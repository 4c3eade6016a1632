"""Samples become figures, figures a report and a picture."""
