"""Tests of gravity, floor, contacts and the world frame."""
