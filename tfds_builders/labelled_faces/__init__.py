"""The labelled_faces dataset."""
