"""The reference provider: every primitive in plain NumPy/CuPy, readable, the specification the others are held to."""
