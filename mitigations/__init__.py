"""What changes the images that are drawn; each method takes a source and returns a source."""
