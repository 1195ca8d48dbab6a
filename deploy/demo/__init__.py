"""The demo page: a picture or the camera in, the faces and what a served model says of them out."""
