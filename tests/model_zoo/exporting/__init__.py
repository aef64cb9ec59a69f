"""Tests of exporting and quantizing."""
