"""From derived expressions to code."""
