"""What pods exposed, and the one number of an object that follows from it: pure."""
