"""Small named units of target code, written into a translation where the target has no call."""
