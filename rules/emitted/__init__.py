"""Code that a translation emits where the target library has no equal call."""
