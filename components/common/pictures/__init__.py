"""From encoded bytes to the pixels that a model sees: decoding, faces, landmarks, copies."""
