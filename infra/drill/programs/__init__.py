"""Programs that run inside a drill's containers (Python's standard library only)."""
