"""What a kill may leave: a measured write stream goes in, the points to kill at come out."""
