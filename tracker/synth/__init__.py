"""Synthetic people: body, clothes, motion, light and things in the way, drawn to pictures with exact truth."""
