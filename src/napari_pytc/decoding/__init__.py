"""From predictions to instances; knows no torch. Importing this room registers the decoders."""
