"""``python -m audit`` is the command ``genbias``."""

from audit.cli import main

main()
