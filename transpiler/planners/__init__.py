"""Planners: one structural rewrite each, and the expression rules. None depends on the order."""
