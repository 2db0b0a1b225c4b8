"""Moving weights between the frameworks: trees of variables, how they pair, how arrays convert."""
