"""The drawn_faces dataset."""
