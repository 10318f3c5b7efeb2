"""The faults that the checker can inject, by name."""
