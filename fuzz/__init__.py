"""Coverage-guided fuzz targets for everything that reads bytes."""
