"""What we learn, and how we judge it. Arrays in, numbers out."""
