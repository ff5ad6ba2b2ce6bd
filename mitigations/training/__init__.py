"""The training loops and recipes of the built-in models."""
