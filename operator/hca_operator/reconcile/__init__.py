"""One pass over one object: resolve, observe, plan, act, report."""
