"""Telling a waiting person, or a program, how far things are."""
