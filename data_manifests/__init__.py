"""Manifests of weights, data sets and references: package data, read through audit.manifests."""
