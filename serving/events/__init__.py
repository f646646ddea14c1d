"""What goes out to other systems and comes in from them: signed, in order, until it is there."""
