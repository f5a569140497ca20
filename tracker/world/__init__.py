"""Gravity, floor and contacts: the world's frame, told from the people in the picture."""
