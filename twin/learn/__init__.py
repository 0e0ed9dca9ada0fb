"""Learners and their baselines. Nothing here needs a ray tracer."""
