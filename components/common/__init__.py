"""What components share: images, faces, examples, records, Beam, figures, tracking, progress."""
