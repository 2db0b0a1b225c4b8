"""Reads the public names of the installed frameworks into the signature catalogue."""
