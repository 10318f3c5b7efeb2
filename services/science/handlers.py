"""What the department does when others speak: nothing yet, it reads nobody's facts."""
