"""The nine components of the pipeline, one module each, and what they share (`common`)."""
