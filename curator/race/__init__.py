"""Races: arms, seeds, statistics and the verdict."""
