"""Facts about the expressions of a program: kinds, shapes, dtypes, and train or eval mode."""
