"""Take one field out of one grant, play the city's procedures, and look whether anybody is worse off."""
