"""Quantization: of exported files by the tools of their formats, and of nets while they are trained."""
