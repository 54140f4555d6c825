"""Measurements of migrations: whole stores with damage, speed by workers, memory by size."""
