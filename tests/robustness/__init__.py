"""Accidents of real courses, each with the exact marks that it deserves."""
