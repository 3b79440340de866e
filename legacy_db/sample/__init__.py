"""Legacy databases to try things on."""
