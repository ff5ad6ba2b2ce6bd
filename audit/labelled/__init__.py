"""Labels made elsewhere: tables of them, calibrations made from them, and sheets for people who look for themselves."""
