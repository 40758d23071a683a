"""What every part agrees on, and what users import."""
