"""Pure functions on arrays: intervals (more to come with the studies)."""
