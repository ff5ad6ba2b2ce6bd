"""Simulations with a known truth: do the intervals cover, and how often is a verdict wrong?"""
