"""Portraits: a procedural world of faces that belong to nobody, in which the true answer is known."""

from audit.portraits.population import MONK_OF_GROUP, POPULATIONS, Population, known_population, population
from audit.portraits.renderer import SIZE, draw

__all__ = ["MONK_OF_GROUP", "POPULATIONS", "SIZE", "Population", "draw", "known_population", "population"]
