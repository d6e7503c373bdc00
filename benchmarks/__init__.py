"""Side-by-side measurements against peers. Each prints a ratio; none is a test."""
