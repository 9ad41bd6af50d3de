"""From predictions to instances; knows no torch."""
