"""Ready audit specs; a name here can be given to ``genbias run``."""
