"""How fast, against what, and how much memory: measured on the user's own machine."""
