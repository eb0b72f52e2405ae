"""What may be kept, and in which form. Below: core."""
