"""The pure step from sequence observations to gaps, and the state of the gap tracker."""
