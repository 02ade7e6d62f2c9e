"""Whether a champion still stands: new images watched, reasons told, turns taken."""
